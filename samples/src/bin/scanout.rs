//! scanout
fn main() {}
