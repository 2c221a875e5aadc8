//! Telling of changes: the rules that say who is told, what he is told, and how it gets there.
//!
//! [`Rule`] is what an operator sets. [`Message`] is what one revision has to say to one rule, [`Sender`] takes it to the rule's
//! target, and [`Course`] decides when: in order, again after a failure, and when to give up. Nothing here knows of a
//! cluster: what is done, and what is still to do, is in the replicated state, and this crate is handed it.
//!
//! **Secrets.** A rule names where a secret is found ([`SecretRef`]), and the member that sends looks there. No error and no
//! text of this crate holds a secret, or more of a target's address than its host.

mod course;
mod email;
mod failure;
mod http;
mod message;
mod rule;
mod sealed;
mod secret;
mod send;
mod slack;
mod smtp;
mod text;
mod time;
mod validate;
mod webhook;

pub use course::{Course, DeadLetter, Found, LOST, Policy, Progress, Step};
pub use failure::Failure;
pub use message::{Author, Change, MAX_CHANGES, Message};
pub use rule::{Email, Kind, Rule, Slack, Target, Webhook};
pub use sealed::Told;
pub use secret::{ENV_PREFIX, SecretRef, Secrets};
pub use send::{SEND_TIMEOUT, Sender};
pub use validate::{InvalidRule, MAX_NAME_BYTES, MAX_RECIPIENTS, MAX_RULE_BYTES, MAX_RULES};
pub use webhook::{DELIVERY_HEADER, MAX_BODY_BYTES, SIGNATURE_HEADER, signature};
