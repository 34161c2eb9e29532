//! Colours, where they are wanted. Everything can be understood without them.

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A heading.
    Strong,
    /// Something failed.
    Error,
    /// Something may go wrong.
    Warning,
    /// Something went well.
    Good,
    /// What to do.
    Hint,
    /// Of less interest than what is around it.
    Faint,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// With colours or without.
    pub const fn new(colour: bool) -> Style {
        Style { colour }
    }

    /// Paints a piece of text: Select Graphic Rendition, ECMA-48 section 8.3.117.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Strong => "1",
            Tone::Error => "1;31",
            Tone::Warning => "1;33",
            Tone::Good => "32",
            Tone::Hint => "1;36",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Text of programs and files without what could steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paint_is_left_out_where_it_is_not_wanted() {
        assert_eq!(Style::new(false).paint(Tone::Error, "error:"), "error:");
        assert_eq!(Style::new(true).paint(Tone::Error, "error:"), "\u{1b}[1;31merror:\u{1b}[0m");
    }

    #[test]
    fn no_program_steers_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\tc"), "a\u{fffd}[2Jb c");
    }
}
