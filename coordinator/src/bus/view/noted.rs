//! What a fleet notes about its start, for programs that come later.

use super::Control;
use crate::bus::copy::{copy_in, copy_out};
use crate::bus::sync::Ordering;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

impl Control {
    /// Notes how the supervisor was started, for a program that starts another fleet like this one; and where this one has
    /// its temporary files. Options that are too long together are not noted at all; nor is a path that does not fit beside
    /// them.
    pub fn note_start(&self, options: &[impl AsRef<OsStr>], temporary: &Path) {
        let mut text = Vec::new();
        for option in options {
            text.extend_from_slice(option.as_ref().as_encoded_bytes());
            text.push(0);
        }
        let words = self.option_words();
        let room = (words.len() - 1) * 8;
        if text.len() > room {
            text.clear();
        }
        let options = text.len();
        text.extend_from_slice(temporary.as_os_str().as_encoded_bytes());
        if text.len() > room {
            text.truncate(options);
        }
        copy_in(&words[1..], &text);
        let lengths = options as u64 | ((text.len() - options) as u64) << 32;
        words[0].store(lengths, Ordering::Release);
    }

    /// The options of [`Self::note_start`]; empty if none were noted, or if they cannot be read.
    pub fn options(&self) -> Vec<String> {
        let (options, _) = self.noted();
        let whole = String::from_utf8(options).ok();
        let options = whole.as_deref().and_then(|text| text.strip_suffix('\0'));
        options.map_or_else(Vec::new, |text| text.split('\0').map(str::to_owned).collect())
    }

    /// The directory of [`Self::note_start`]. Any program may have written another one there: what is removed in it must be
    /// proven to be the fleet's.
    pub fn temporary(&self) -> Option<PathBuf> {
        let path = PathBuf::from(OsString::from_vec(self.noted().1));
        path.is_absolute().then_some(path)
    }

    /// The bytes of the options and of the path.
    fn noted(&self) -> (Vec<u8>, Vec<u8>) {
        let words = self.option_words();
        let room = (words.len() - 1) * 8;
        let lengths = words[0].load(Ordering::Acquire);
        let options = (lengths as u32 as usize).min(room);
        let whole = options.saturating_add((lengths >> 32) as usize).min(room);
        let mut text = vec![0; whole];
        copy_out(&words[1..], &mut text);
        let path = text.split_off(options);
        (text, path)
    }
}
