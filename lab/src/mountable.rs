//! Which host paths the guest can mount: hostfs options end at a comma, kernel parameters at white
//! space.

use std::path::Path;

use anyhow::{Result, bail};

/// Fails for a path that a hostfs mount option or the kernel's command line cannot carry.
///
/// # Errors
/// Names the path and the character.
pub(crate) fn check(path: &Path) -> Result<()> {
    let Some(text) = path.to_str() else {
        bail!("the path {} is not UTF-8", path.display());
    };
    match text
        .chars()
        .find(|c| c.is_whitespace() || c.is_control() || matches!(c, ',' | '"' | '\'' | '\\'))
    {
        None => Ok(()),
        Some(c) => bail!("the path {text} contains {c:?}, which the guest cannot mount"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_pass_and_others_name_the_character() {
        check(Path::new("/home/me/dma-share_1.0+x")).unwrap();
        for (path, character) in [("/a b", "' '"), ("/a,b", "','"), ("/a\"b", "'\"'")] {
            let error = check(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(character), "{error}");
        }
    }
}
