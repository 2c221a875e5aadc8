//! INI and PHP files mean what PHP says that they mean.

use std::io::Write;
use std::process::{Command, Stdio};

use cfgstore_documents::{Format, Number, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const PHP: &str = r#"
ini_set('serialize_precision', -1);
$flags = JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR;
foreach (json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR) as [$format, $text]) {
    try {
        $value = $format === 'ini' ? @parse_ini_string($text, true, INI_SCANNER_TYPED) : eval('?>' . $text);
        $said[] = $format === 'ini' && $value === false ? ['error' => 'no INI'] : ['value' => json_encode($value, $flags)];
    } catch (Throwable $e) {
        $said[] = ['error' => $e->getMessage()];
    }
}
echo json_encode($said, $flags);
"#;

/// What PHP makes of files, as JSON, or `None` where it fails.
fn php(files: &[(Format, String)]) -> Vec<Option<String>> {
    let mut child = Command::new("php8.2")
        .args(["-n", "-r", PHP])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("install Debian's php8.2-cli");
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(format, text)| (format.extension(), &text[..]))
        .collect();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(serde_json::to_string(&files).unwrap().as_bytes())
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said: Vec<serde_json::Value> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    said.iter()
        .map(|said| said["value"].as_str().map(str::to_owned))
        .collect()
}

/// Equal for PHP, which knows no long integers, and no empty objects in INI.
fn agree(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => match [a, b].map(|number| number.as_str().parse::<i64>()) {
            [Ok(a), Ok(b)] => a == b,
            _ => a.as_str().parse::<f64>() == b.as_str().parse::<f64>(),
        },
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agree(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && agree(a, b))
        }
        (Value::Object(a), Value::Array(b)) => a.is_empty() && b.is_empty(),
        (a, b) => a == b,
    }
}

fn compare(files: Vec<(Format, String)>) -> usize {
    let mut read = 0;
    for ((format, text), theirs) in files.iter().zip(php(&files)) {
        let Ok(ours) = format.parse(text.as_bytes()) else {
            continue;
        };
        read += 1;
        let theirs = theirs.unwrap_or_else(|| panic!("{format:?}, PHP refuses: {text:?}"));
        let said = Format::Json.parse(theirs.as_bytes()).unwrap();
        assert!(
            agree(&ours, &said),
            "{format:?}: {text}\n  ours:   {}\n  theirs: {theirs}",
            ours.to_json()
        );
    }
    read
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?([eE][+-]?[0-9])?"
            .prop_map(|text| Value::Number(Number::of_json(&text).unwrap())),
        "[a-z0-9 \\\\'\"$;{}#=\\[\\]\n\r\t\u{e9}-]{0,10}".prop_map(Value::String),
    ]
}

#[test]
fn what_is_written_php_reads_as_the_same() {
    let name = "[a-z][a-z.]{0,3}";
    let list = prop::collection::vec(scalar(), 1..4).prop_map(Value::Array);
    let member = prop_oneof![3 => scalar(), 1 => list];
    let section = prop::collection::btree_map(name, member.clone(), 0..5)
        .prop_map(|members| Value::Object(members.into_iter().collect()));
    let document =
        prop::collection::btree_map(name, prop_oneof![member, section], 0..6).prop_map(|members| {
            let (sections, plain): (Vec<_>, Vec<_>) = members
                .into_iter()
                .partition(|(_, value)| matches!(value, Value::Object(_)));
            Value::Object(plain.into_iter().chain(sections).collect())
        });
    let mut runner = TestRunner::deterministic();
    let mut files = Vec::new();
    for _ in 0..400 {
        let value = document.new_tree(&mut runner).unwrap().current();
        files.extend(Format::Ini.print(&value).map(|file| (Format::Ini, file)));
        files.push((Format::Php, Format::Php.print(&value).unwrap()));
    }
    assert!(compare(files) > 450);
}

#[test]
fn what_is_read_php_reads_as_the_same() {
    let ini = [
        "a =",
        "a = b=c",
        "a = 5",
        "a = -5",
        "a = +5",
        "a = 5.5",
        "a = -5.5",
        "a = .5",
        "a = -.5",
        "a = 5.",
        "a = 1e5",
        "a = 99999999999999999999",
        "a = 0x1A",
        "a = yes",
        "a = None",
        "a = NULL",
        "a = \"yes\"",
        "a = 'yes'",
        "a = \"x\\\"y\"",
        "a = \"x\\\\y\"",
        "a = \"x\\ny\"",
        "a = \"a\\$b\"",
        "a = \"a$b\"",
        "a = 'a\"b'",
        "a = \"it's\"",
        "a = x ; c",
        "a = x;c",
        "a = 'x\ny'",
        "a = \"x\ny\"",
        "a = it's",
        "a = a b  c",
        "a = http://x/y?z",
        "a = a&b",
        "a = #x",
        "# x",
        "a",
        "a[] = 1\na[] = 2",
        "a[x]=1\na[y]=2",
        "a[0]=1\na[1]=2",
        "a[5]=1\na[]=2",
        "a[-5]=1\na[]=2",
        "[s]\na=1\n[t.u]\nb=2",
        "a.b = 1",
        "a b = 1",
        "5 = 1",
        "0 = 1",
        "yes = 1",
        "a = \"b\" ; c",
        "a = \"\\\\\"",
        "a = \"x\\z\"",
        "a = user@host",
        "a = 1.2.3",
        "a = 12abc",
        "a = true;x",
        "a = 'x' y",
        "a[b][c] = 1",
        "[ s ]\na = 1",
        "a = \\x",
        "a = 'x\\'",
        "a = 'x\\y'",
        "a = 'x\\\\y'\nb = 'z'",
        "a = -",
        "a = -0",
        "a = 1 2",
        "a = \"\"",
        "a = ''",
        "a = [1]",
        "a = x*y+z,%",
        "a = 0.10",
        "a-b = 1",
        "\u{e4} = \u{fc}",
        "a:b=1",
        "a/b=1",
        "a = \"x\\'y\"",
        "a = 9223372036854775807",
        "a = 9223372036854775808",
        "[5]\na=1",
        "[s]\n0=a\n1=b",
        "[s]\n",
        "a = \"x\\\ny\"",
        "a=?",
        "a=a?b",
        "a = x\r\nb = y\r\n",
        "  a = 1\n",
        "a=a:b,c",
        "a = <x>",
        "a = a\tb",
        "a[]=",
        "a = @x",
        "a = `x`",
        "a = ,",
        "a = 5 ;",
        "a = 12345678901234567890.5",
        "a = 1.12345678901234567890123",
        "a = on;",
        "a[x y] = 1",
        "a[x.y] = 1",
        "a [x] = 1",
        "a[05] = 1\na[] = 2",
    ];
    let php = [
        "['a' => 1, 'b' => [true, null, 1.50]]",
        "array(1, 2, 'x' => 3, 4)",
        "[5 => 'a', 'b']",
        "['5' => 'a', 'b']",
        "['05' => 'a', 'b']",
        "[-0 => 1]",
        "0x1F",
        "0b11",
        "017",
        "0o17",
        "1_000.5",
        ".5",
        "6.",
        "1e3",
        "'a\\'b\\\\c\\n'",
        "\"a\\n\\t\\r\\v\\e\\f\\\\\\$\\\"\\x41\\101\\u{1F600}\\q{x} $5 \\377\\x\"",
        "(object) ['a', 'b']",
        "/* c */ [1, // c\n 2, # c\n]",
        "-9223372036854775807",
        "[[], (object) []]",
        "+5",
        "- 5",
        "--5",
        "TRUE",
        "\"\\07\"",
        "\"\\8\"",
        "\"\\xg\"",
        "1__0",
        "0777777777777777777777",
        "00.5",
        "01.5",
        "08",
        "1E+3",
        "array ()",
        "[[1,],]",
        "['a' . 'b']",
    ];
    let files = ini.map(|text| (Format::Ini, text.to_owned())).into_iter();
    let files = files.chain(php.map(|code| (Format::Php, format!("<?php\nreturn {code};\n"))));
    assert!(compare(files.collect()) > 90);
}
