//! Who is told when keys change, and what could not be delivered.

use cfgstore_client::{
    ChangeKind, DeadLetter, Error, ErrorKind, NotificationRule, NotificationStatus, NotificationTarget,
};

use super::lent::Lent;
use super::source::CoreSource;
use super::types::{CoreBytes, CoreError, guard};

struct Rule {
    status: NotificationStatus,
    target_json: Vec<u8>,
}

impl Rule {
    fn of(status: NotificationStatus) -> Rule {
        let target = status.rule.as_ref().map(|rule| rule.target.to_json());
        Rule {
            target_json: target.map_or(Vec::new(), |json| json.to_string().into_bytes()),
            status,
        }
    }
}

/// A rule, and how far it has got. Pointers are valid as `cfgstore_core_history` says.
#[repr(C)]
pub struct CoreNotification {
    /// Its name.
    pub name: CoreBytes,
    /// The target as JSON; empty: the rule was set by a newer version, and all but `name` and what follows `values` is empty.
    pub target: CoreBytes,
    /// The keys begin with this.
    pub prefix: CoreBytes,
    /// Whether it was set to tell of puts. Of neither kind means: of all.
    pub puts: bool,
    /// Whether it was set to tell of deletes.
    pub deletes: bool,
    /// Whether values go along.
    pub values: bool,
    /// Every change up to this revision has been delivered or has become a dead letter.
    pub done_through_revision: i64,
    /// How many dead letters there are.
    pub dead_letters: u64,
    /// Why the last attempt failed; empty: it did not, or that is not known.
    pub trouble: CoreBytes,
}

impl CoreNotification {
    fn of(Rule { status, target_json }: &Rule) -> CoreNotification {
        let rule = status.rule.as_ref();
        let tells_of = |kind| rule.is_some_and(|rule| rule.kinds.contains(&kind));
        CoreNotification {
            name: CoreBytes::of(status.name.as_bytes()),
            target: CoreBytes::of(target_json),
            prefix: rule.map_or(CoreBytes::empty(), |rule| CoreBytes::of(&rule.prefix)),
            puts: tells_of(ChangeKind::Put),
            deletes: tells_of(ChangeKind::Delete),
            values: rule.is_some_and(|rule| rule.values),
            done_through_revision: status.done_through_revision,
            dead_letters: status.dead_letters,
            trouble: CoreBytes::of(status.trouble.as_bytes()),
        }
    }
}

/// What could not be delivered. Pointers are valid as `cfgstore_core_history` says.
#[repr(C)]
pub struct CoreDeadLetter {
    /// Names it among those of its rule.
    pub id: u64,
    /// The rule.
    pub name: CoreBytes,
    /// First revision that it would have told of.
    pub from_revision: i64,
    /// Last revision that it would have told of.
    pub to_revision: i64,
    /// Why it could not be delivered.
    pub reason: CoreBytes,
    /// When it was given up, in milliseconds since 1970.
    pub time_unix_ms: i64,
}

impl CoreDeadLetter {
    fn of(letter: &DeadLetter) -> CoreDeadLetter {
        CoreDeadLetter {
            id: letter.id,
            name: CoreBytes::of(letter.name.as_bytes()),
            from_revision: letter.from_revision,
            to_revision: letter.to_revision,
            reason: CoreBytes::of(letter.reason.as_bytes()),
            time_unix_ms: letter.time_unix_ms,
        }
    }
}

/// Sets a rule for the keys that begin with `prefix`, or replaces the one of this name. `target` is JSON, as
/// `NotificationTarget::from_json` reads it. With neither `puts` nor `deletes` it tells of both.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_set_notification(
    source: *mut CoreSource,
    timeout_secs: f64,
    name: CoreBytes,
    target: CoreBytes,
    prefix: CoreBytes,
    puts: bool,
    deletes: bool,
    values: bool,
    error: *mut CoreError,
) -> bool {
    let set = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, name, target, prefix) =
            unsafe { (&mut *source, name.get(), target.get(), prefix.get()) };
        let target = serde_json::from_slice(target).map_err(|error| {
            let message = format!("the target of the notification can't be read: {error}");
            Error::new(ErrorKind::InvalidArgument, message)
        })?;
        let kinds = [(puts, ChangeKind::Put), (deletes, ChangeKind::Delete)];
        let rule = NotificationRule {
            name: text(name)?.to_owned(),
            prefix: prefix.to_vec(),
            kinds: kinds
                .into_iter()
                .filter(|(wanted, _)| *wanted)
                .map(|(_, kind)| kind)
                .collect(),
            target: NotificationTarget::from_json(&target)?,
            values,
        };
        source.client(timeout_secs)?.set_notification(&rule)
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, set) }.is_some()
}

/// Removes a rule.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_remove_notification(
    source: *mut CoreSource,
    timeout_secs: f64,
    name: CoreBytes,
    error: *mut CoreError,
) -> bool {
    let remove = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, name) = unsafe { (&mut *source, name.get()) };
        source.client(timeout_secs)?.remove_notification(text(name)?)
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, remove) }.is_some()
}

/// All rules of the cluster, in order of their names.
///
/// `rules` and `count` describe memory that is valid as `cfgstore_core_history` says.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_notifications(
    source: *mut CoreSource,
    timeout_secs: f64,
    rules: *mut *const CoreNotification,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let list = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, rules, count) = unsafe { (&mut *source, &mut *rules, &mut *count) };
        let found = source.client(timeout_secs)?.notifications()?;
        let found = found.into_iter().map(Rule::of).collect();
        Lent::of(found, CoreNotification::of).lend(source, rules, count);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, list) }.is_some()
}

/// What could not be delivered of a rule, or, if `name` is empty, of all, oldest first. `letters` and
/// `count` describe memory that is valid as `cfgstore_core_history` says.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_dead_letters(
    source: *mut CoreSource,
    timeout_secs: f64,
    name: CoreBytes,
    letters: *mut *const CoreDeadLetter,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let list = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, name, letters, count) =
            unsafe { (&mut *source, name.get(), &mut *letters, &mut *count) };
        let found = source.client(timeout_secs)?.dead_letters(text(name)?)?;
        Lent::of(found, CoreDeadLetter::of).lend(source, letters, count);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, list) }.is_some()
}

/// Sends dead letters of a rule once more, for some seconds, and forgets what was delivered; or, with `only_forget`, only
/// forgets them. No `ids`: all of them.
///
/// # Safety
/// As the module says; `ids` points to `id_count` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_retry_dead_letters(
    source: *mut CoreSource,
    timeout_secs: f64,
    name: CoreBytes,
    ids: *const u64,
    id_count: usize,
    only_forget: bool,
    delivered: *mut u64,
    error: *mut CoreError,
) -> bool {
    let retry = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, name, delivered) = unsafe { (&mut *source, name.get(), &mut *delivered) };
        let ids = match id_count {
            0 => &[],
            // SAFETY: the caller lends so many numbers.
            count => unsafe { std::slice::from_raw_parts(ids, count) },
        };
        let client = source.client(timeout_secs)?;
        (*delivered, _) = client.retry_dead_letters(text(name)?, ids, only_forget)?;
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, retry) }.is_some()
}

fn text(name: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(name).map_err(|_| {
        let message = "the name of the notification: letters, digits, '-', '_' and '.' are allowed";
        Error::new(ErrorKind::InvalidArgument, message)
    })
}
