//! Copies of the newest small generations, in a file that readers keep mapped: a look at a new generation then needs no system
//! call. `docs/mirror-format.md` says why no copy is ever seen torn, and why none is of what was not published.
//!
//! A copy never replaces its generation file: whatever is wrong with it, the file is opened as if there were none.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::folder::set_rights;
use crate::format::{FILE_SIZE_AT, HEADER_BYTES};
use crate::sys::{self, Content, Mapping};
use crate::trust::{self, Folder};
use crate::{PublishError, PublisherOptions};

const NAME_PREFIX: &str = "recent.";
/// An arena being filled, before it gets its number's name.
pub(crate) const RECENT_NEW_NAME: &str = "recent.tmp";
const MAGIC: [u8; 8] = *b"CFGRCNT\0";
const FORMAT_VERSION: u32 = 1;

const ARENA_BYTES: u64 = 256 << 10;
/// A larger file gets no copy: a reader saves the same few system calls, but what the copy's memory costs the publisher grows.
const MAX_COPY_BYTES: u64 = 16 << 10;
/// What a place counts: a cache line. The arena's header is one, so that no copy is at 0.
const UNIT: u64 = 64;
/// Low bits of a place: where in the arena. The others are the arena's number.
const OFFSET_BITS: u32 = 16;
/// An arena may take this part of what is free, so that it is never in the way of a generation file.
const FREE_DIVISOR: u64 = 8;

const _: () = assert!(ARENA_BYTES <= UNIT << OFFSET_BITS);

/// The first bytes of an arena: whose it is, and which one.
fn header(mirror_id: u64, number: u64) -> [u8; UNIT as usize] {
    let mut header = [0; UNIT as usize];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&mirror_id.to_le_bytes());
    header[24..32].copy_from_slice(&number.to_le_bytes());
    header
}

fn arena_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{NAME_PREFIX}{number}"))
}

/// Whether a file in a mirror's folder is an arena, or was to become one.
pub(crate) fn is_arena_name(name: &str) -> bool {
    let number = name
        .strip_prefix(NAME_PREFIX)
        .and_then(|digits| digits.parse::<u64>().ok());
    name == RECENT_NEW_NAME || number.is_some_and(|number| name == format!("{NAME_PREFIX}{number}"))
}

/// The publisher's arena.
#[derive(Debug)]
pub(crate) struct CopyWriter {
    /// Of the newest arena. The control page names it with each generation, with a copy or not, so a number that it has named is
    /// never given again.
    number: u64,
    /// `None`: none made yet, or there is no room for one, or it fails.
    arena: Option<File>,
    /// Bytes of it that are taken; they are never written again.
    used: u64,
    /// The arena before, whose name stays until a copy is published in this one.
    before: Option<PathBuf>,
}

impl CopyWriter {
    /// Goes on after a former publisher, whose arena is left as it is: what it wrote last may never have been published.
    pub(crate) fn after(place: u64) -> CopyWriter {
        CopyWriter {
            number: place >> OFFSET_BITS,
            arena: None,
            used: 0,
            before: None,
        }
    }

    /// Takes the file of a generation that is about to be published. The answer is for the control page.
    pub(crate) fn put(&mut self, file: &[u8]) -> u64 {
        let no_copy = self.number << OFFSET_BITS;
        let (offset, size) = (self.used, file.len() as u64);
        let Some(arena) = self
            .arena
            .as_ref()
            .filter(|_| size <= MAX_COPY_BYTES && size <= ARENA_BYTES - offset)
        else {
            return no_copy;
        };
        // Not through a mapping: nothing then depends on what others do to the file.
        if arena.write_all_at(file, offset).is_err() {
            self.arena = None;
            return no_copy;
        }
        self.used = (offset + size).next_multiple_of(UNIT);
        no_copy | (offset / UNIT)
    }

    /// After the generation, of `size` bytes, is published: makes the next arena if the next such generation might not fit, and
    /// removes the one before as soon as a copy is in the new one.
    pub(crate) fn make_room(&mut self, size: u64, mirror_id: u64, folder: &Path, options: &PublisherOptions) {
        if size > MAX_COPY_BYTES {
            return;
        }
        if self.arena.is_some() && ARENA_BYTES - self.used >= MAX_COPY_BYTES {
            if self.used > UNIT
                && let Some(before) = self.before.take()
            {
                // What cannot be removed, the next publisher removes.
                let _ = std::fs::remove_file(before);
            }
            return;
        }
        // Without one, readers open files. The next publish tries again.
        if let Ok(Some(arena)) = make(self.number + 1, mirror_id, folder, options) {
            if self.arena.replace(arena).is_some() {
                self.before = Some(arena_path(folder, self.number));
            }
            self.number += 1;
            self.used = UNIT;
        }
    }
}

/// Makes an arena with that number. Written out, so that its memory is there: neither does a publish wait for pages, nor does a
/// full file system end who touches them. `None`: it would take too much of what is free.
fn make(
    number: u64,
    mirror_id: u64,
    folder: &Path,
    options: &PublisherOptions,
) -> Result<Option<File>, PublishError> {
    let temporary = folder.join(RECENT_NEW_NAME);
    let path = arena_path(folder, number);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(|error| PublishError::io(&temporary, "create", error))?;
    let fill = |file: &mut File| {
        if sys::free_bytes(file)?.is_some_and(|free| free / FREE_DIVISOR < ARENA_BYTES) {
            return Ok(false);
        }
        file.write_all(&header(mirror_id, number))?;
        io::copy(&mut io::repeat(0).take(ARENA_BYTES - UNIT), file)?;
        Ok(true)
    };
    let made = fill(&mut file)
        .map_err(|error| PublishError::io(&temporary, "write", error))
        .and_then(|fits| {
            if fits {
                set_rights(&file, &temporary, options.file_mode, options.gid)?;
                std::fs::rename(&temporary, &path)
                    .map_err(|error| PublishError::io(&path, "rename to", error))?;
            }
            Ok(fits)
        });
    if !matches!(made, Ok(true)) {
        let _ = std::fs::remove_file(&temporary);
    }
    Ok(made?.then_some(file))
}

/// A reader's arena: the one that the control page named last.
#[derive(Debug, Default)]
pub(crate) struct CopyReader {
    number: u64,
    /// `None`: it could not be mapped, which is not tried again.
    arena: Option<Arc<Mapping>>,
}

impl CopyReader {
    /// The copy that the control page names, if there is one: of whichever generation, and unchecked. It keeps its arena mapped.
    pub(crate) fn find(&mut self, place: u64, mirror_id: u64, folder: &Folder) -> Option<Content> {
        let unit = place & ((1 << OFFSET_BITS) - 1);
        if unit == 0 {
            return None;
        }
        let number = place >> OFFSET_BITS;
        if number != self.number {
            self.number = number;
            self.arena = open(number, mirror_id, folder);
        }
        let arena = self.arena.as_ref()?;
        let offset = usize::try_from(unit * UNIT).ok()?;
        let start = Content::part(arena, offset, HEADER_BYTES)?;
        let size = start.bytes()[FILE_SIZE_AT..].first_chunk()?;
        Content::part(arena, offset, usize::try_from(u64::from_le_bytes(*size)).ok()?)
    }
}

fn open(number: u64, mirror_id: u64, folder: &Folder) -> Option<Arc<Mapping>> {
    let (file, metadata) = trust::open_file(&arena_path(&folder.path, number), Some(folder.owner)).ok()?;
    if metadata.len() != ARENA_BYTES {
        return None;
    }
    let arena = Arc::new(Mapping::new(&file, ARENA_BYTES as usize, false).ok()?);
    let start = Content::part(&arena, 0, UNIT as usize)?;
    (start.bytes() == header(mirror_id, number)).then_some(arena)
}
