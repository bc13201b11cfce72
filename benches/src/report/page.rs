//! The report as a whole.

use anyhow::Result;

use super::{Block, Data, Document, Section, sections};

/// The report of `data`.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn document(data: &Data) -> Result<Document> {
    let paragraphs = [
        "dmashare lets programs share the memory of pictures between GPUs and displays without copying \
         it, and checks what drivers do not check. This report says what that costs.",
        "Each operation is measured beside its *floor*: the same operation written by hand against \
         Vulkan and the kernel, without a library and without checks. Both run in one process, on the \
         same devices, in turns, so whatever else happens on the machine happens to both. A ratio of \
         1.00 means that the library costs nothing; the range behind it is the 95% interval. Where other \
         libraries can do the same, they are measured in the same way.",
    ];
    let mut lead: Vec<_> = paragraphs
        .map(|text| Block::Paragraph(text.to_owned()))
        .into();
    lead.extend(sections::machine_in_words(data).map(Block::Paragraph));
    let sections: Vec<Option<Section>> = vec![
        Some(sections::targets(data)),
        Some(sections::where_we_lose(data)),
        sections::safeties(data),
        sections::clocks(data),
        sections::handoff(data),
        sections::replaced(data)?,
        sections::growth(data)?,
        sections::counted(data),
        sections::machine(data),
        Some(sections::how()),
    ];
    Ok(Document {
        title: "What sharing costs with dmashare".to_owned(),
        lead,
        sections: sections.into_iter().flatten().collect(),
    })
}
