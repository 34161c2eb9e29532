//! What this reader and Python's own `configparser` make of the same text.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::strategy::{Strategy, ValueTree};

use super::{DEFAULT, interpolate, parse};
use crate::event::Silent;
use crate::host::run::Runner;
use crate::testing;

/// Sections with names and values; a value is none where an error is told. None where the file is wrong.
type Sections = Option<BTreeMap<String, BTreeMap<String, Option<String>>>>;

/// Reads texts as vmbuilder did, but with Python 3, and with the later one of two in the place of an error.
const SCRIPT: &str = r#"
import configparser, io, json, sys
answers = []
for text in json.load(sys.stdin):
    parser = configparser.ConfigParser(strict=False)
    stream = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
    try:
        parser.read_file(stream)
    except configparser.Error:
        answers.append(None)
        continue
    answer = {}
    for section in ["DEFAULT"] + parser.sections():
        own = parser._defaults if section == "DEFAULT" else parser._sections[section]
        answer[section] = {}
        for name in own:
            try:
                answer[section][name] = parser.get(section, name)
            except configparser.Error:
                answer[section][name] = None
    answers.append(answer)
json.dump(answers, sys.stdout)
"#;

fn ours(text: &str) -> Sections {
    let parsed = parse("x.cfg", text).ok()?;
    let headers = parsed.headers.iter().map(|header| header.text.clone());
    let mut sections: BTreeMap<String, BTreeMap<String, Option<String>>> =
        std::iter::once(DEFAULT.to_owned()).chain(headers).map(|name| (name, BTreeMap::new())).collect();
    for entry in &parsed.entries {
        let section = entry.section.text.as_str();
        let find = |name: &str| {
            let last = |section: &str| {
                parsed.entries.iter().rfind(|entry| entry.section.text == section && entry.name == name)
            };
            last(section).or_else(|| last(DEFAULT))
        };
        let value = interpolate::expand(entry, &find).ok();
        sections.entry(section.to_owned()).or_default().insert(entry.name.clone(), value);
    }
    Some(sections)
}

/// Python's answers; none where there is no Python, which is an error in continuous integration.
fn pythons(texts: &[String]) -> Option<Vec<Sections>> {
    if !testing::has("python3") {
        return None;
    }
    let runner = Runner::new(Arc::new(Silent));
    let input = serde_json::to_string(texts).unwrap();
    let output = runner.command("python3").args(["-c", SCRIPT]).input(input).output().unwrap();
    Some(serde_json::from_str(&output).unwrap())
}

fn compare(texts: &[String]) {
    let Some(answers) = pythons(texts) else { return };
    assert_eq!(answers.len(), texts.len());
    for (text, expected) in texts.iter().zip(answers) {
        assert_eq!(ours(text), expected, "{text:?}");
    }
}

#[test]
fn chosen_texts_are_read_as_python_reads_them() {
    let texts = [
        "",
        "\n\n",
        "# only\n; comments\n",
        "[DEFAULT]\n",
        "[a]\n[b]\n",
        "[a]\nk=v",
        "[a]\nk: v\nl =w\nm= x\n n :y",
        "[a]\nK=v\nk=w\n",
        "[a]\nk=v\n[b]\nk=w\n[a]\nl=x\nk=y\n",
        "[ a ]\nk=v\n",
        "[a] rest\nk=v\n",
        "[a] ] \nk=v\n",
        "[a]]\nk=v\n",
        "[]\nk=v\n",
        "[]]\nk=v\n",
        "[a\nk=v\n",
        "[a=b\n",
        "x=1\n[a]\n",
        " [a]\n k=v\n  w\n l=x\n",
        "[a]\nk=v\n  [b]\n",
        "[a]\nk\n",
        "[a]\n= v\n",
        "[a]\n: v\nk=w\n",
        "[a]\nk==v\n",
        "[a]\nk:=v\n",
        "[a]\nk = v = w : x\n",
        "[a]\nk with space = v\n",
        "[a]\nk=v\n w\n\n x\n\n\n",
        "[a]\nk=v\n # note\n w\n# note\n x\n;y\n",
        "[a]\nk=\n v\n w\n",
        "[a]\nk=\n\n\n v\n",
        "[a]\nk = v ; not a comment # neither\n",
        "[a]\nk = #v\n",
        "[a]\nk = v\n\t w\n   x\n y\n",
        "[a]\n  k = v\n l = w\n  m\n",
        "[a]\n  k = v\n l = w\n",
        "[a]\nk=v\r\nl=w\r\n\r\n x\rm=y\n",
        "[a]\nk=v\u{c}w\n\u{a0}x\n",
        "[a]\nk=v\u{1c}\n\u{1c} w\n",
        "[a]\nÄ=ö\n",
        "[DEFAULT]\nx=1\n[a]\nk=%(x)s\n",
        "[DEFAULT]\nx=1\n[a]\nx=2\nk=%(X)s%(x)s\n",
        "[b]\nx=1\n[a]\nk=%(x)s\n",
        "[a]\nk=100%%\nl=100%\nm=%(k)s\nn=%%(k)s\n",
        "[a]\nk=%(l)s\nl=%(k)s\n",
        "[a]\nk=%(k)s\n",
        "[a]\nk=%(l)d\nl=1\n",
        "[a]\nk=%(l\nl=1\n",
        "[a]\nk=%()s\n",
        "[a]\nk=%(\n l)s\n\nl = 1\n",
        "[a]\nk=%(l m)s\nl m = 1\n",
        "[a]\na=%(b)s\nb=%(c)s\nc=%(d)s\nd=%(e)s\ne=%(f)s\nf=%(g)s\ng=%(h)s\nh=%(i)s\ni=%(j)s\nj=%(k)s\nk=1\n",
        "[a]\na=%(b)s\nb=%(c)s\nc=%(d)s\nd=%(e)s\ne=%(f)s\nf=%(g)s\ng=%(h)s\nh=%(i)s\ni=%(j)s\nj=%(k)s\nk=%(l)s\nl=1\n",
        "[a]\nk=rem\nrem = this is a setting\n",
        "[DEFAULT]\nk=v\n[DEFAULT]\nk=w\n",
        "[default]\nk=v\n",
        "[a]\nk=v\n\u{b}\n w\n",
    ];
    compare(&texts.map(str::to_owned));
}

#[test]
fn any_text_is_read_as_python_reads_it() {
    let piece = proptest::prop_oneof![
        3 => "\n[ \t]{0,3}",
        1 => "\\[(a|b|DEFAULT)?\\]",
        2 => "[aAbk] ?[=:] ?",
        1 => "%\\([abk]\\)s|%%|%",
        1 => "[a-c\\[\\]=:#;% \t\r\u{a0}\u{1f}é]",
    ];
    let text = proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat());
    let headed = proptest::prop_oneof![1 => text.clone(), 3 => text.prop_map(|text| format!("[a]\n{text}"))];
    let mut runner = proptest::test_runner::TestRunner::default();
    let texts: Vec<String> =
        (0..1000).map(|_| headed.new_tree(&mut runner).expect("a text").current()).collect();
    compare(&texts);
}
