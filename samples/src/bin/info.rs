//! info
fn main() {}
