//! Lines of cells below each other: how lists are printed for people.

/// Columns as wide as their widest cell, two spaces apart. The first line is the head.
pub fn render<const N: usize>(lines: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let joined = cells.collect::<Vec<_>>().join("  ");
        text.push_str(joined.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_each_other() {
        let lines = [["A", "WORD"], ["long one", "x"], ["", "ä"]].map(|line| line.map(str::to_owned));
        assert_eq!(render(&lines), "A         WORD\nlong one  x\n          ä\n");
    }
}
