//! Locale and time zone.

use super::Site;
use crate::error::{Error, Result};
use crate::host::tree::Root;
use crate::plan::locale_line;
use crate::suite::LocaleStyle;

/// Longest /etc/locale.gen that is read; Debian's has some 10 KB.
const LIMIT: u64 = 1024 * 1024;

/// Generates the locale where it needs that, and makes it and the time zone the machine's.
pub(super) fn configure(site: &Site<'_>, root: &Root) -> Result<()> {
    let guest = &site.plan.guest;
    let facts = &site.plan.suite.locale;
    if let Some(line) = locale_line(guest, facts.style) {
        let program = site.program(root.path(), "locale-gen")?;
        match facts.style {
            LocaleStyle::LocaleGen => {
                let known = root.read("/etc/locale.gen", LIMIT)?.unwrap_or_default();
                root.write("/etc/locale.gen", 0o644, enable(&known, line))?;
                program.run()?;
            }
            LocaleStyle::Arguments => program.arg(line).run()?,
        }
    }
    root.write(&facts.file, 0o644, format!("LANG={}\n", guest.locale))?;
    let zone = format!("/usr/share/zoneinfo/{}", guest.timezone);
    // UTC is what a machine without time zones has anyway.
    if guest.timezone != "UTC" && root.open_file(&zone)?.is_none() {
        return Err(Error::config(format!(
            "{} has no time zone {}",
            site.plan.suite.title(),
            guest.timezone
        ))
        .hint(
            "Name one with --timezone that the release knows, or add the package that has it with --addpkg.",
        ));
    }
    root.link(&zone, "/etc/localtime")?;
    if facts.timezone_file {
        root.write("/etc/timezone", 0o644, format!("{}\n", guest.timezone))?;
    }
    Ok(())
}

/// Uncomments a line of /etc/locale.gen, or adds it.
fn enable(text: &str, wanted: &str) -> String {
    let is_wanted = |line: &str| line.trim_start_matches(['#', ' ']).trim_end() == wanted;
    let mut lines: Vec<&str> = text.lines().map(|line| if is_wanted(line) { wanted } else { line }).collect();
    if !lines.contains(&wanted) {
        lines.push(wanted);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::enable;

    #[test]
    fn a_line_is_uncommented_or_added() {
        let text = "# All:\n# de_DE ISO-8859-1\n# de_DE.UTF-8 UTF-8\n";
        assert_eq!(enable(text, "de_DE.UTF-8 UTF-8"), "# All:\n# de_DE ISO-8859-1\nde_DE.UTF-8 UTF-8\n");
        assert_eq!(enable("", "x UTF-8"), "x UTF-8\n");
    }
}
