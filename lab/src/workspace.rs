//! The cargo workspace that the lab is used in: its folders and its binaries.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The lab's own package.
pub(crate) const LAB: &str = env!("CARGO_PKG_NAME");

/// The workspace of the current folder.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// The folder of the workspace's Cargo.toml.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    metadata: Option<PackageMetadata>,
}

/// What a package's Cargo.toml says under `package.metadata`.
#[derive(Debug, Default, Deserialize)]
struct PackageMetadata {
    #[serde(default)]
    lab: LabMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LabMetadata {
    /// Processors that the guests of some test executables need, by the test's name.
    #[serde(default)]
    processors: BTreeMap<String, u32>,
    /// Test and bench executables that need nothing of a guest and run outside, by their names.
    #[serde(default)]
    on_the_host: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    /// Whether it has documentation tests; not in cargo's messages about a build.
    #[serde(default)]
    doctest: bool,
}

impl Target {
    fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|own| own == kind)
    }
}

/// A cargo command that is not confused by the cargo that started us.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut cargo = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(describes_one_package) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Whether cargo sets this variable for the one package that it runs (for us, the lab itself).
pub(crate) fn describes_one_package(variable: &str) -> bool {
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
    ]
    .iter()
    .any(|prefix| variable.starts_with(prefix))
}

impl Workspace {
    /// Asks cargo for the workspace of the current folder.
    ///
    /// # Errors
    /// When there is none, or cargo fails.
    pub(crate) fn find() -> Result<Self> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
            .output()
            .context("cannot run cargo metadata")?;
        if !output.status.success() {
            bail!(
                "cargo metadata failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let mut workspace: Self = serde_json::from_slice(&output.stdout)
            .context("cannot read cargo metadata's answer")?;
        std::fs::create_dir_all(&workspace.target)
            .with_context(|| format!("cannot make {}", workspace.target.display()))?;
        workspace.root = workspace.root.canonicalize()?;
        workspace.target = workspace.target.canonicalize()?;
        Ok(workspace)
    }

    /// The package that has the binary `name`.
    fn package_of(&self, name: &str) -> Option<&str> {
        self.packages
            .iter()
            .find(|package| {
                let mut targets = package.targets.iter();
                targets.any(|target| target.name == name && target.is("bin"))
            })
            .map(|package| package.name.as_str())
    }

    /// How many processors the guest of a package's test executable needs. Tests of what happens at
    /// the same time say so in their package's Cargo.toml, `[package.metadata.lab.processors]`.
    pub(crate) fn processors(&self, package: &str, executable: &Path) -> u32 {
        let processors = self.of_executable(package, executable);
        let processors = processors.and_then(|(lab, name)| lab.processors.get(name));
        processors.copied().unwrap_or(1)
    }

    /// Whether a package's executable runs outside, on this machine: it needs nothing of a guest, and
    /// does what a guest cannot. The threads of one process never run at the same time there. Its
    /// package's Cargo.toml says so, `[package.metadata.lab] on-the-host`. So do the lab's own tests,
    /// which start guests.
    pub(crate) fn runs_on_the_host(&self, package: &str, executable: &Path) -> bool {
        package == LAB
            || self
                .of_executable(package, executable)
                .is_some_and(|(lab, name)| lab.on_the_host.contains(name))
    }

    /// What a package says to the lab, and the name of its executable.
    fn of_executable<'a>(
        &self,
        package: &str,
        executable: &'a Path,
    ) -> Option<(&LabMetadata, &'a str)> {
        // Cargo adds a hash to the name.
        let (name, _) = executable.file_stem()?.to_str()?.rsplit_once('-')?;
        let package = self.packages.iter().find(|known| known.name == package)?;
        Some((&package.metadata.as_ref()?.lab, name))
    }

    /// Whether the workspace has the package `name`.
    pub(crate) fn has_package(&self, name: &str) -> bool {
        self.package(name).is_some()
    }

    fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The names of all packages.
    pub(crate) fn package_names(&self) -> impl Iterator<Item = &str> {
        self.packages.iter().map(|package| package.name.as_str())
    }

    /// The package of this Cargo.toml.
    pub(crate) fn package_at(&self, manifest: &Path) -> Option<&str> {
        let mut packages = self.packages.iter();
        let package = packages.find(|package| package.manifest_path == manifest)?;
        Some(&package.name)
    }

    /// Whether a package has the integration test `test`.
    pub(crate) fn has_test(&self, package: &str, test: &str) -> bool {
        self.package(package).is_some_and(|package| {
            let mut targets = package.targets.iter();
            targets.any(|target| target.name == test && target.is("test"))
        })
    }

    /// Whether cargo looks for documentation tests in a package.
    pub(crate) fn has_documentation_tests(&self, package: &str) -> bool {
        self.package(package)
            .is_some_and(|package| package.targets.iter().any(|target| target.doctest))
    }

    /// Makes `command` start in the folder and with the variables with which cargo starts a package's
    /// test executables.
    pub(crate) fn describe_package(&self, command: &mut Command, name: &str) {
        for (variable, _) in std::env::vars_os() {
            if variable.to_str().is_some_and(describes_one_package) {
                command.env_remove(variable);
            }
        }
        let Some(package) = self.package(name) else {
            return;
        };
        let folder = package.manifest_path.parent().unwrap_or(&self.root);
        command
            .current_dir(folder)
            .env("CARGO_PKG_NAME", &package.name)
            .env("CARGO_PKG_VERSION", &package.version)
            .env("CARGO_MANIFEST_PATH", &package.manifest_path)
            .env("CARGO_MANIFEST_DIR", folder);
    }

    /// Builds the workspace's own binary `name` and returns its path; `None` if it has none of
    /// that name.
    ///
    /// # Errors
    /// When the build fails.
    pub(crate) fn build(&self, name: &str, release: bool) -> Result<Option<PathBuf>> {
        let Some(package) = self.package_of(name) else {
            return Ok(None);
        };
        let mut build = cargo();
        build
            .args(["build", "--quiet", "--package", package, "--bin", name])
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit())
            .current_dir(&self.root);
        if release {
            build.arg("--release");
        }
        let output = build.output().context("cannot run cargo build")?;
        if !output.status.success() {
            bail!("cargo could not build the binary {name} of {package}");
        }
        // Where it is depends on the profile, and on the target if the configuration names one.
        let messages = String::from_utf8_lossy(&output.stdout);
        let executable = messages.lines().find_map(|line| executable_of(line, name));
        let executable = executable.with_context(|| format!("cargo does not say where {name} is"));
        Some(executable).transpose()
    }

    /// The host folders that a guest mounts so that paths mean the same inside: the workspace, the
    /// target folder, the current folder and `more`; none of them inside another.
    pub(crate) fn mounts(&self, current: &Path, more: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let mut folders = vec![self.root.clone(), self.target.clone()];
        if !is_system_folder(current) {
            folders.push(current.to_owned());
        }
        for folder in more {
            let folder = folder
                .canonicalize()
                .with_context(|| format!("cannot mount {}", folder.display()))?;
            if is_system_folder(&folder) {
                bail!(
                    "{} would hide a folder that the guest needs",
                    folder.display()
                );
            }
            folders.push(folder);
        }
        folders.sort();
        folders.dedup();
        let outermost = folders.iter().filter(|folder| {
            !folders
                .iter()
                .any(|o| o != *folder && folder.starts_with(o))
        });
        Ok(outermost.cloned().collect())
    }
}

/// The executable that this message of cargo's says it made of the binary `name`.
fn executable_of(message: &str, name: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Artifact {
        target: Target,
        executable: Option<PathBuf>,
    }
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    let target = artifact.target;
    (target.name == name && target.is("bin")).then_some(artifact.executable)?
}

/// Whether the guest has its own folder there, which a mount of the host's would hide.
fn is_system_folder(folder: &Path) -> bool {
    let own = [
        "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr",
    ];
    // Of these, folders below may be the host's, but not the folder itself.
    let shared = [
        "/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var",
    ];
    shared.iter().any(|top| folder == Path::new(top))
        || own.iter().any(|own| folder.starts_with(own))
}

#[cfg(test)]
impl Workspace {
    /// A workspace in `/w` with the package `p`.
    pub(crate) fn sample() -> Self {
        let text = r#"{"workspace_root":"/w","target_directory":"/w/target","packages":[
            {"name":"p","version":"1.2.3","manifest_path":"/w/p/Cargo.toml","targets":[
                {"name":"p","kind":["lib"],"doctest":true},{"name":"tool","kind":["bin"]},
                {"name":"races","kind":["test"],"doctest":false}],
            "metadata":{"lab":{"processors":{"races":3},"on-the-host":["threads"]}}}]}"#;
        serde_json::from_str(text).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace::sample()
    }

    #[test]
    fn a_test_has_the_processors_that_its_package_asks_for() {
        let processors = |package, file| workspace().processors(package, Path::new(file));
        assert_eq!(processors("p", "/t/races-0123"), 3);
        assert_eq!(processors("p", "/t/others-0123"), 1);
        assert_eq!(processors("p", "/t/races"), 1);
        assert_eq!(processors("q", "/t/races-0123"), 1);
    }

    #[test]
    fn an_executable_runs_outside_if_its_package_says_so() {
        let outside = |package, file| workspace().runs_on_the_host(package, Path::new(file));
        assert!(outside("p", "/t/threads-0123"));
        assert!(!outside("p", "/t/races-0123") && !outside("q", "/t/threads-0123"));
        assert!(outside(LAB, "/t/ending-0123"));
    }

    #[test]
    fn tests_and_documentation_tests_are_found_in_their_package() {
        let workspace = workspace();
        assert!(workspace.has_test("p", "races"));
        assert!(!workspace.has_test("p", "tool") && !workspace.has_test("q", "races"));
        assert!(workspace.has_documentation_tests("p") && !workspace.has_documentation_tests("q"));
        assert_eq!(
            workspace.package_at(Path::new("/w/p/Cargo.toml")),
            Some("p")
        );
        assert_eq!(workspace.package_at(Path::new("/w/q/Cargo.toml")), None);
    }

    #[test]
    fn a_test_runs_in_its_package_s_folder_and_is_told_its_name() {
        let mut command = Command::new("true");
        workspace().describe_package(&mut command, "p");
        assert_eq!(command.get_current_dir(), Some(Path::new("/w/p")));
        let told: Vec<_> = command.get_envs().collect();
        let name = |name: &'static str, value: &'static str| (name.as_ref(), Some(value.as_ref()));
        assert!(told.contains(&name("CARGO_PKG_NAME", "p")), "{told:?}");
        assert!(
            told.contains(&name("CARGO_MANIFEST_DIR", "/w/p")),
            "{told:?}"
        );
    }

    #[test]
    fn binaries_are_found_and_libraries_are_not() {
        assert_eq!(workspace().package_of("tool"), Some("p"));
        assert_eq!(workspace().package_of("p"), None);
        assert!(workspace().has_package("p"));
    }

    #[test]
    fn cargo_says_where_a_binary_is() {
        let tool = r#"{"reason":"compiler-artifact","target":{"name":"tool","kind":["bin"]},
            "executable":"/w/target/t/debug/tool"}"#;
        let path = PathBuf::from("/w/target/t/debug/tool");
        assert_eq!(executable_of(tool, "tool"), Some(path));
        assert_eq!(executable_of(tool, "other"), None);
        let library = tool.replace("bin", "lib");
        assert_eq!(executable_of(&library, "tool"), None);
        let finished = r#"{"reason":"build-finished","success":true}"#;
        assert_eq!(executable_of(finished, "tool"), None);
    }

    #[test]
    fn folders_inside_others_and_system_folders_are_not_mounted() {
        let mounts = |current: &str| workspace().mounts(Path::new(current), &[]).unwrap();
        assert_eq!(mounts("/w/p"), [Path::new("/w")]);
        assert_eq!(mounts("/v"), [Path::new("/v"), Path::new("/w")]);
        for system in ["/", "/tmp", "/usr/lib", "/root", "/proc/1"] {
            assert_eq!(mounts(system), [Path::new("/w")], "{system}");
        }
        assert!(
            workspace()
                .mounts(Path::new("/w"), &["/usr".into()])
                .is_err()
        );
    }
}
