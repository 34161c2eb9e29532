//! Texts with places to fill in, for the shell scripts that rvmb writes.

/// Puts values in the place of names such as `@IMAGE@`; a value is never searched for further names.
pub fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('@') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        match values.iter().find(|(name, _)| from.starts_with(name)) {
            Some((name, value)) => {
                filled.push_str(value);
                rest = &from[name.len()..];
            }
            None => {
                filled.push('@');
                rest = &from[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_searched_again() {
        let values = [("@A@", "@B@".to_owned()), ("@B@", "no".to_owned())];
        assert_eq!(fill("x@A@ \"$@\" a@b", &values), "x@B@ \"$@\" a@b");
    }
}
