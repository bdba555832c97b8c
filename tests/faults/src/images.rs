//! What a disk would hold if the power went now: what was synced, and of the rest whatever chance says.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files below one directory. Their names are taken to be durable as soon as something in them is.
#[derive(Debug, Default)]
pub struct Images(BTreeMap<PathBuf, Image>);

#[derive(Debug, Default)]
struct Image {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Images {
    pub(crate) fn wrote(&mut self, path: &Path, offset: usize, bytes: &[u8]) {
        self.0.entry(path.to_owned()).or_default().pending.push(Change::Write(offset, bytes.to_vec()));
    }

    pub(crate) fn cut(&mut self, path: &Path, bytes: usize) {
        self.0.entry(path.to_owned()).or_default().pending.push(Change::Cut(bytes));
    }

    /// A sync that failed loses what was pending: the kernel takes it for written, and no later sync tries again.
    pub(crate) fn synced(&mut self, path: &Path, succeeded: bool) {
        if let Some(image) = self.0.get_mut(path) {
            let pending = std::mem::take(&mut image.pending);
            if succeeded {
                for change in &pending {
                    change.apply(&mut image.durable);
                }
            }
        }
    }

    pub(crate) fn removed(&mut self, path: &Path) {
        self.0.remove(path);
    }

    /// Writes the files below `from` as they would be found below `to`; `survives` is asked for each change that was
    /// never synced.
    pub(crate) fn restore(
        &self,
        from: &Path,
        to: &Path,
        mut survives: impl FnMut() -> bool,
    ) -> io::Result<()> {
        for (path, image) in &self.0 {
            let Ok(below) = path.strip_prefix(from) else { continue };
            let mut bytes = image.durable.clone();
            for change in &image.pending {
                if survives() {
                    change.apply(&mut bytes);
                }
            }
            let path = to.join(below);
            fs::create_dir_all(path.parent().unwrap_or(to))?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Cut(length) => bytes.truncate(*length),
            Self::Write(offset, new) => {
                let end = offset + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(new);
            }
        }
    }
}
