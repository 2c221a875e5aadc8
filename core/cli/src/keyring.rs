//! `cfgctl keys`: keyrings, and the values that are sealed with them.

mod file;
mod values;

use std::sync::Arc;

use cfgstore_client::LiveKeyring;
use cfgstore_client::seal::{Keyring, Pattern, Source};
use serde_json::{Value, json};

use crate::arguments::{Connection, KeyringCommand};
use crate::connect;
use crate::failure::Failure;
use crate::output::Output;
use crate::time;
use file::KeyringFile;

/// The keyring of --keyring for a client; read at once, so that a mistake shows before anything is done.
pub fn live(connection: &Connection) -> Result<Option<Arc<LiveKeyring>>, Failure> {
    let Some(place) = place(connection)? else {
        return Ok(None);
    };
    let keyring = LiveKeyring::new(place);
    keyring.current()?;
    Ok(Some(Arc::new(keyring)))
}

/// An empty one, as an environment variable may be, is none.
fn place(connection: &Connection) -> Result<Option<Source>, Failure> {
    let place = connection.keyring.as_ref().filter(|place| !place.is_empty());
    Ok(place.map(|place| Source::parse(place)).transpose()?)
}

pub async fn run(
    connection: &Connection,
    command: KeyringCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    if let KeyringCommand::New { id, patterns } = command {
        return make(place(connection)?, id, &patterns, output);
    }
    let Some(place) = place(connection)? else {
        return Err(Failure::invalid(
            "no keyring is named: give --keyring FILE, or set $CFGSTORE_KEYRING".to_owned(),
        ));
    };
    match command {
        KeyringCommand::New { .. } => Ok(()),
        KeyringCommand::Add { id } => {
            let mut file = KeyringFile::open(&place)?;
            let id = id.unwrap_or_else(|| new_id(&file.keyring));
            changed(&place, file.keyring.add(&id))?;
            file.save()?;
            let text = format!(
                "{place}: key {id} opens values now; bring the file to every host, then `cfgctl keys rotate --id {id}`"
            );
            say(output, &text, json!({ "added": id }))
        }
        KeyringCommand::Rotate { id, reseal } => rotate(connection, &place, id, reseal, output).await,
        KeyringCommand::Reseal => reseal_all(connection, &place.load()?, output).await,
        KeyringCommand::Drop { id } => drop_key(connection, &place, &id, output).await,
        KeyringCommand::List => list(connection, &place, output).await,
    }
}

fn make(
    place: Option<Source>,
    id: Option<String>,
    patterns: &[String],
    output: &mut Output,
) -> Result<(), Failure> {
    let patterns = patterns.iter().map(|text| Pattern::parse(text));
    let patterns = patterns
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failure::invalid)?;
    let id = id.unwrap_or_else(time::today);
    let seals_nothing = patterns.is_empty();
    let keyring = Keyring::generate(&id, patterns).map_err(Failure::invalid)?;
    let Some(place) = place else {
        return Ok(output.line(keyring.to_json().trim_end())?);
    };
    file::create(file::path_of(&place)?, &keyring)?;
    let hint = if seals_nothing {
        "; it seals nothing before you add patterns to it"
    } else {
        ""
    };
    say(
        output,
        &format!("{place}: made, with key {id}{hint}"),
        json!({ "primary": id }),
    )
}

async fn rotate(
    connection: &Connection,
    place: &Source,
    id: Option<String>,
    reseal: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut file = KeyringFile::open(place)?;
    let id = id.unwrap_or_else(|| new_id(&file.keyring));
    if !file.keyring.has(&id) {
        changed(place, file.keyring.add(&id))?;
    }
    changed(place, file.keyring.set_primary(&id))?;
    file.save()?;
    let next = if reseal {
        ""
    } else {
        "; bring the file to every host, then `cfgctl keys reseal`"
    };
    let text = format!("{place}: key {id} seals from now on{next}");
    if !reseal {
        return say(output, &text, json!({ "primary": id }));
    }
    if !output.is_json() {
        output.line(&text)?;
    }
    reseal_all(connection, &file.into_keyring(), output).await
}

async fn reseal_all(connection: &Connection, keyring: &Keyring, output: &mut Output) -> Result<(), Failure> {
    let done = values::reseal(&connect(connection)?, keyring, output).await?;
    let id = keyring.primary();
    let text = format!(
        "key {id}: {} sealed anew, {} sealed that were in clear, {} were sealed with it already",
        done.resealed, done.sealed, done.current
    );
    let counts = json!({
        "primary": id, "resealed": done.resealed, "sealed": done.sealed, "current": done.current, "left": done.left,
    });
    say(output, &text, counts)?;
    match done.left {
        0 => Ok(()),
        left => Err(Failure::new(&format!(
            "{left} values could not be sealed anew, each for the reason above"
        ))),
    }
}

async fn drop_key(
    connection: &Connection,
    place: &Source,
    id: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut file = KeyringFile::open(place)?;
    changed(place, file.keyring.drop_key(id))?;
    let count = values::count(&connect(connection)?, &file.keyring).await?;
    if let Some(values) = count.sealed.get(id) {
        let example = count.example.get(id).map_or("", String::as_str);
        return Err(Failure::new(&format!(
            "key {id} stays: {values} values are sealed with it, {example} among them; `cfgctl keys reseal` first"
        )));
    }
    file.save()?;
    let text = format!(
        "{place}: key {id} is removed; what the history holds that is sealed with it can't be read any more"
    );
    say(output, &text, json!({ "dropped": id }))
}

async fn list(connection: &Connection, place: &Source, output: &mut Output) -> Result<(), Failure> {
    let keyring = place.load()?;
    let count = values::count(&connect(connection)?, &keyring).await?;
    let sealed_with = |id: &str| count.sealed.get(id).copied().unwrap_or(0);
    let unknown: Vec<_> = count.sealed.iter().filter(|(id, _)| !keyring.has(id)).collect();
    let patterns: Vec<_> = keyring.patterns().iter().map(Pattern::as_str).collect();
    if output.is_json() {
        let keys = keyring
            .ids()
            .map(|id| json!({ "id": id, "primary": id == keyring.primary(), "values": sealed_with(id) }));
        let unknown = unknown
            .iter()
            .map(|(id, values)| json!({ "id": id, "values": values }));
        let list = json!({
            "keys": keys.collect::<Vec<_>>(),
            "patterns": patterns,
            "require_sealed": keyring.requires_sealed(),
            "plain": count.plain,
            "unknown": unknown.collect::<Vec<_>>(),
            "damaged": count.damaged,
        });
        return Ok(output.json(&list)?);
    }
    for id in keyring.ids() {
        let primary = if id == keyring.primary() { " (primary)" } else { "" };
        output.line(&format!("key {id}{primary}: seals {} values", sealed_with(id)))?;
    }
    for pattern in patterns {
        output.line(&format!("pattern {pattern}"))?;
    }
    for (id, values) in unknown {
        output.line(&format!(
            "key {id}, which the keyring does not have: seals {values} values"
        ))?;
    }
    if count.damaged > 0 {
        output.line(&format!("{} sealed values are damaged", count.damaged))?;
    }
    if count.plain > 0 {
        output.line(&format!(
            "{} values under the patterns are in clear: `cfgctl keys reseal` seals them",
            count.plain
        ))?;
    }
    Ok(())
}

fn changed(place: &Source, change: Result<(), String>) -> Result<(), Failure> {
    change.map_err(|problem| Failure::invalid(format!("the keyring {place} stays as it is: {problem}")))
}

fn say(output: &mut Output, text: &str, json: Value) -> Result<(), Failure> {
    if output.is_json() {
        output.json(&json)?;
    } else {
        output.line(text)?;
    }
    Ok(())
}

/// Today's date, with a number behind it where that is taken.
fn new_id(keyring: &Keyring) -> String {
    let today = time::today();
    let numbered = (2..).map(|number| format!("{today}-{number}"));
    let mut ids = std::iter::once(today.clone()).chain(numbered);
    ids.find(|id| !keyring.has(id)).unwrap_or(today)
}
