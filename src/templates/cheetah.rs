//! Tells templates of vmbuilder's, which were Cheetah's, from ones that rvmb can read.

use crate::error::Problem;

/// Directives of Cheetah that nothing but Cheetah has at the beginning of a line.
const CERTAIN: [&str; 8] =
    ["#end if", "#end for", "#else if", "#elif", "#set $", "#slurp", "#echo", "#attr $"];

/// Directives that could be a comment, unless a variable follows.
const WITH_VARIABLE: [&str; 4] = ["#if ", "#for ", "#unless ", "#while "];

/// The first place that shows that a text is a template for Cheetah; none where it is not. In a script a
/// dollar sign belongs to the shell.
pub fn find(text: &str, is_script: bool) -> Option<Problem> {
    let has_jinja = text.contains("{{") || text.contains("{%");
    text.lines().enumerate().find_map(|(index, line)| {
        let (column, length) =
            directive(line).or_else(|| (!is_script && !has_jinja).then(|| variable(line)).flatten())?;
        Some(Problem {
            file: String::new(),
            line: index + 1,
            column,
            length,
            text: line.to_owned(),
            message: "this is Cheetah's".to_owned(),
            help: Some(conversion(line)),
        })
    })
}

/// Column and length of a directive.
fn directive(line: &str) -> Option<(usize, usize)> {
    let text = line.trim_start();
    let column = line.chars().count() - text.chars().count() + 1;
    let known = CERTAIN.iter().find(|word| text.starts_with(**word));
    let known =
        known.or_else(|| WITH_VARIABLE.iter().find(|word| text.starts_with(**word) && text.contains('$')));
    known.map(|word| (column, word.trim_end_matches([' ', '$']).chars().count()))
}

/// Column and length of a variable: `$name`, `${name}`, `$(name)`, `$name.more`.
fn variable(line: &str) -> Option<(usize, usize)> {
    let characters: Vec<char> = line.chars().collect();
    (0..characters.len()).find_map(|at| {
        let rest = characters.get(at..)?.strip_prefix(&['$'])?;
        let (opened, rest) = match rest.first() {
            Some('{' | '(') => (1, rest.get(1..)?),
            _ => (0, rest),
        };
        let name = rest.iter().take_while(|letter| letter.is_ascii_alphanumeric() || "_.".contains(**letter));
        let starts = rest.first().is_some_and(|letter| letter.is_ascii_alphabetic() || *letter == '_');
        let length = 1 + 2 * opened + name.count();
        starts.then_some((at + 1, length.min(characters.len() - at)))
    })
}

/// How such a line is written for Jinja.
fn conversion(line: &str) -> String {
    let text = line.trim_start();
    let pair = [
        ("#if", "{% if … %}"),
        ("#else if", "{% elif … %}"),
        ("#elif", "{% elif … %}"),
        ("#end if", "{% endif %}"),
        ("#for", "{% for … in … %}"),
        ("#end for", "{% endfor %}"),
        ("#set", "{% set … %}"),
    ];
    match pair.iter().find(|(old, _)| text.starts_with(old)) {
        Some((_, new)) => format!("Write {new}, and names in it without the dollar sign."),
        None => "Write {{ name }} for $name.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_cheetah_are_told_from_others() {
        for (text, place) in [
            ("127.0.1.1 $hostname", Some((1, 11, 9))),
            ("a\naddress ${ip}/24", Some((2, 9, 5))),
            ("$vm.name", Some((1, 1, 8))),
            ("#if $vm.ip == 'dhcp'\n", Some((1, 1, 3))),
            ("x\n  #end if\n", Some((2, 3, 7))),
            ("#set $x = 1", Some((1, 1, 4))),
            ("# costs $5, if anything", None),
            ("#if you read this", None),
            ("{{ hostname }} $x", None),
            ("127.0.0.1 localhost", None),
            ("", None),
        ] {
            let found = find(text, false).map(|problem| (problem.line, problem.column, problem.length));
            assert_eq!(found, place, "{text}");
        }
        assert_eq!(find("exec \"$qemu\" ${MEM:-1}\n", true), None);
        assert!(find("#if $mem\nexec\n#end if\n", true).is_some());
    }
}
