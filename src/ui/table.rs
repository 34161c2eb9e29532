//! Where the time went: the table that ends a build.

use std::time::Duration;

use super::lines::{duration, title};
use super::style::{Style, Tone};
use crate::event::{Outcome, Timing};

/// The table. Shares are of `whole`; steps that ran beside each other make more than the whole together.
pub fn render(timings: &[Timing], whole: Duration, style: Style) -> String {
    let whole = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    let mut text = style.paint(Tone::Strong, &format!("{:<24}{:>12}{:>8}", "Step", "Time", "Share"));
    text.push('\n');
    for timing in timings {
        let share = timing.milliseconds.saturating_mul(100).saturating_add(whole / 2).checked_div(whole);
        let cached = if timing.outcome == Outcome::Cached { "  cached" } else { "" };
        text += &format!(
            "{}{:>12}{:>6} %{cached}\n",
            title(timing.step),
            duration(timing.milliseconds),
            share.unwrap_or(0)
        );
    }
    text += &format!("{:<24}{:>12}\n", "Whole", duration(whole));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Recorder, Sink, Step};

    #[test]
    fn the_table_says_where_the_time_went() {
        let recorder = Recorder::new();
        for (step, outcome, milliseconds) in [
            (Step::Index, Outcome::Cached, 40),
            (Step::Bootstrap, Outcome::Done, 48_120),
            (Step::Disk, Outcome::Done, 12_000),
        ] {
            recorder.emit(Event::Started { step });
            recorder.emit(Event::Finished { step, outcome, milliseconds });
        }
        let text = render(&recorder.timings(), Duration::from_millis(62_000), Style::new(false));
        insta::assert_snapshot!(text, @"
        Step                            Time   Share
        Reading the archive            0.0 s     0 %  cached
        Bootstrapping                 48.1 s    78 %
        Writing the disk              12.0 s    19 %
        Whole                     1 min 02 s
        ");
    }

    #[test]
    fn no_time_at_all_has_no_shares() {
        let timing = Timing { step: Step::Seal, outcome: Outcome::Done, milliseconds: 0 };
        assert!(render(&[timing], Duration::ZERO, Style::new(false)).contains("0 %"));
    }
}
