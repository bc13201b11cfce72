//! The report as a whole.

use anyhow::Result;

use super::{Data, Report, sections};

/// The report of `data`.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn document(data: &Data) -> Result<Report> {
    let mut report = Report::new("What sharing costs with dmashare");
    report.paragraph(
        "dmashare lets programs share the memory of pictures between GPUs and displays without copying \
         it, and checks what drivers do not check. This report says what that costs.",
    );
    report.paragraph(
        "Each operation is measured beside its *floor*: the same operation written by hand against \
         Vulkan and the kernel, without a library and without checks. Both run in one process, on the \
         same devices, in turns, so whatever else happens on the machine happens to both. A ratio of \
         1.00 means that the library costs nothing; the range behind it is the 95% interval. Where other \
         libraries can do the same, they are measured in the same way.",
    );
    if let Some(machine) = sections::machine_in_words(data) {
        report.paragraph(machine);
    }
    sections::targets(data, &mut report);
    sections::where_we_lose(data, &mut report);
    sections::safeties(data, &mut report);
    sections::clocks(data, &mut report);
    sections::handoff(data, &mut report);
    sections::replaced(data, &mut report)?;
    sections::growth(data, &mut report)?;
    sections::counted(data, &mut report);
    sections::machine(data, &mut report);
    sections::how(&mut report);
    Ok(report)
}
