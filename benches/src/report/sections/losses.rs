//! Where the library is slower than others, and why.

use super::super::{Data, Loss, Report, losses, names, quantities};

/// Every loss in words.
pub(in super::super) fn where_we_lose(data: &Data, report: &mut Report) {
    let losses = losses(data);
    report.section("Where we lose");
    report.paragraph(
        "An operation is listed here if its ratio lies with its whole interval above 1.05 of a floor, or \
         above 1 of another library.",
    );
    if data.ratios.is_empty() {
        report.paragraph("Nothing was compared.");
    } else if losses.is_empty() {
        report.paragraph("Nowhere, of what was measured.");
    } else {
        let losses: Vec<_> = losses.iter().map(|loss| in_words(data, loss)).collect();
        report.list(&losses);
    }
}

fn in_words(data: &Data, loss: &Loss) -> String {
    let beside = names::side_in_words(&loss.beside);
    let mut text = format!("{}, against {beside}: ", names::operation(&loss.operation));
    if let Some((size, ratio)) = loss.worst() {
        let at = format!("{} at {}", quantities::ratio(*ratio), names::size(size));
        let sizes = data.sizes(&loss.operation).len();
        text.push_str(&match loss.at.len() {
            1 if sizes == 1 => format!("{at}."),
            1 => format!("{at}, and not at other sizes."),
            all if all == sizes => format!("at each size, at most {at}."),
            some => format!("at {some} of {sizes} sizes, at most {at}."),
        });
        if let Some(samples) = data.ratio(&loss.operation, &loss.beside, size) {
            let [ours, theirs] = [samples.ours, samples.theirs].map(quantities::time);
            text.push_str(&format!(" That is {ours} instead of {theirs}."));
        }
    }
    text.push(' ');
    text.push_str(loss.explanation.unwrap_or("Not explained yet."));
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::data::tests::{data_of, ratio_of};
    use super::*;

    fn text(data: &Data) -> String {
        let mut report = Report::default();
        where_we_lose(data, &mut report);
        report.text
    }

    #[test]
    fn losses_are_told_in_words() {
        let mut data = data_of(&[
            ("import", "dmashare", "256x256", 150_000.0),
            ("import", "floor", "256x256", 100_000.0),
            ("export", "dmashare", "1920x1080", 1.0),
            ("export", "dmashare", "256x256", 1.0),
        ]);
        assert!(text(&data).contains("Nothing was compared."));
        data.ratios = vec![ratio_of("import", "floor", "256x256", [0.9, 1.0, 1.1])];
        assert!(text(&data).contains("Nowhere"));
        data.ratios = vec![
            ratio_of("import", "floor", "256x256", [1.4, 1.5, 1.6]),
            ratio_of("export", "wgpu", "256x256", [1.1, 1.2, 1.3]),
        ];
        let text = text(&data);
        let import = "first import, against the floor: 1.500× (1.400–1.600) at 256×256. That is \
                      150 ns instead of 100 ns. The first import makes three system calls";
        assert!(text.contains(import), "{text}");
        let export = "export, against wgpu: 1.200× (1.100–1.300) at 256×256, and not at other sizes. \
                      That is 120 ns instead of 100 ns. Not explained yet.";
        assert!(text.contains(export), "{text}");
    }
}
