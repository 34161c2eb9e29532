//! The user's own templates in place of files that rvmb writes: for the machine, and beside its image.
//!
//! They are found and read when the plan is made ([`crate::plan`]), tried once there, and rendered where the
//! file is written. The language is Jinja's, by minijinja; vmbuilder's was Cheetah ([`cheetah`] tells them
//! apart). A variable that there is not is an error, never an empty text.

pub mod cheetah;
mod context;
pub mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

pub use context::Context;
pub use names::Template;

use crate::error::{Error, Problem, Result};
use crate::near;

/// The templates of a build, with their texts.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Templates {
    sources: BTreeMap<Template, Source>,
}

/// A template that was read.
#[derive(Clone, Serialize, Deserialize)]
pub struct Source {
    /// Where.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever sees this need not be one who may read the texts.
        f.debug_set().entries(self.sources.keys()).finish()
    }
}

impl Templates {
    /// Adds a template; the one that was there before stays.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Config`], with place, for a text that is no template.
    pub fn add(&mut self, template: Template, path: &Path, text: String) -> Result<()> {
        if let Some(problem) = cheetah::find(&text, template.is_script()) {
            let file = path.display().to_string();
            return Err(Error::config(format!("{file} is a template for Cheetah"))
                .hint("Templates are Jinja's now: {{ name }} for $name, {% if x %} … {% endif %} for #if … #end if; docs/customising.md has the whole table.")
                .problems([Problem { file, ..problem }]));
        }
        environment()
            .and_then(|environment| environment.template_from_str(&text).map(drop))
            .map_err(|error| explain(&error, path, &text, &[]))?;
        self.sources.entry(template).or_insert(Source { path: path.to_owned(), text });
        Ok(())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Template, &Source)> {
        self.sources.iter().map(|(template, source)| (*template, source))
    }

    /// What the user's template makes in place of `default`, which is what rvmb itself would write and is the
    /// template's variable of that name; none where there is no such template.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Config`], with file and line, where the template uses what there is not.
    pub fn render(&self, template: Template, context: &Context, default: &str) -> Result<Option<String>> {
        let Some(Source { path, text }) = self.sources.get(&template) else { return Ok(None) };
        let rendered = environment().and_then(|environment| {
            environment.template_from_str(text)?.render(context.with_default(default))
        });
        rendered.map(Some).map_err(|error| explain(&error, path, text, &context.names()))
    }

    /// Renders every template once, so that what is wrong is known before anything is built.
    ///
    /// # Errors
    ///
    /// Those of all templates at once.
    pub fn try_all(&self, context: &Context) -> Result<()> {
        let wrong = self.sources.keys().filter_map(|template| self.render(*template, context, "").err());
        Error::all(wrong.collect())
    }
}

/// Strict, without other templates to take in, and without a meaning for any format. A block that stands on
/// a line of its own leaves no empty line, and the last line keeps its end, as configuration files need it.
fn environment() -> std::result::Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let syntax =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(syntax);
    Ok(environment)
}

/// The error with its place in the user's file. The text of the line is shown: whoever builds may read it.
fn explain(error: &minijinja::Error, path: &Path, text: &str, names: &[String]) -> Error {
    let line = error.line().unwrap_or(1);
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let inside = |at: usize| at.saturating_sub(before).min(shown.len());
    let (start, end) =
        error.range().map_or((0, shown.len()), |range| (inside(range.start), inside(range.end)));
    let count = |end: usize| shown.get(..end).map_or(0, |text| text.chars().count());
    let word = shown.get(start..end).unwrap_or_default();
    let help = match error.kind() {
        minijinja::ErrorKind::UndefinedError => {
            let word: String =
                word.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            let question = near::question(&word, names.iter().map(String::as_str));
            question.unwrap_or_else(|| "docs/customising.md lists what a template knows.".to_owned())
        }
        _ => "docs/customising.md shows what a template may have.".to_owned(),
    };
    let message = match (error.kind(), error.detail()) {
        (minijinja::ErrorKind::UndefinedError, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    let file = path.display().to_string();
    Error::config(format!("the template {file} is wrong")).problems([Problem {
        file,
        line,
        column: count(start) + 1,
        length: count(end).saturating_sub(count(start)).max(1),
        text: shown.to_owned(),
        message,
        help: Some(help),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Result<String> {
        let mut templates = Templates::default();
        templates.add(Template::Hosts, Path::new("hosts.tmpl"), text.to_owned())?;
        let context = Context::of_names([("hostname", "web"), ("domain", "example.org"), ("a", "<&>")]);
        let rendered = templates.render(Template::Hosts, &context, "127.0.0.1 localhost\n")?;
        assert!(templates.render(Template::Fstab, &context, "").unwrap().is_none());
        Ok(rendered.unwrap())
    }

    #[test]
    fn variables_are_filled_in() {
        for (text, expected) in [
            ("127.0.1.1 {{ hostname }}.{{ domain }}\n", "127.0.1.1 web.example.org\n"),
            ("{{ default }}10.0.0.1 db\n", "127.0.0.1 localhost\n10.0.0.1 db\n"),
            ("{% if hostname == 'web' %}yes{% else %}no{% endif %}", "yes"),
            ("{% for name in ['a', 'b'] %}{{ name|upper }} {% endfor %}", "A B "),
            ("{# a comment #}{{ a }}", "<&>"),
            ("# a comment of the file's own\n", "# a comment of the file's own\n"),
        ] {
            assert_eq!(rendered(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let cases = [
            ("x\n  {{ hostnme }}\n", (2, 6, 7), "`hostnme` is undefined"),
            ("{{ hostname.none.none }}", (1, 12, 10), "`hostname.none` is undefined"),
            ("{{ hostname", (1, 4, 8), "syntax error"),
            ("\n\n{% if %}", (3, 7, 2), "syntax error"),
            ("{% for x in hostname %}", (1, 22, 2), "syntax error"),
            ("{{ hostname|no }}", (1, 13, 2), "unknown filter"),
            ("{% include 'x' %}", (1, 4, 7), "syntax error"),
        ];
        let found = cases.map(|(text, ..)| {
            let error = rendered(text).unwrap_err();
            let [problem] = error.places() else { panic!("{text}: {error:?}") };
            assert!(problem.help.is_some() && problem.file == "hosts.tmpl", "{problem:?}");
            let start: String = problem.message.split(':').take(1).collect();
            (text, (problem.line, problem.column, problem.length), start)
        });
        assert_eq!(found, cases.map(|(text, place, message)| (text, place, message.to_owned())));
        let error = rendered("{{ hostnme }}").unwrap_err();
        assert_eq!(error.places()[0].help.as_deref(), Some("Did you mean `hostname`?"));
    }

    #[test]
    fn a_template_of_vmbuilders_is_told_how_to_be_converted() {
        let error = rendered("127.0.0.1 localhost\n127.0.1.1 $hostname\n").unwrap_err();
        assert_eq!((error.places()[0].line, error.places()[0].column), (2, 11));
        assert!(error.hints()[0].contains("{{ name }}"));
    }

    #[test]
    fn texts_are_not_shown() {
        let mut templates = Templates::default();
        templates.add(Template::Hosts, Path::new("hosts.tmpl"), "token".to_owned()).unwrap();
        assert!(!format!("{templates:?}").contains("token"));
    }
}
