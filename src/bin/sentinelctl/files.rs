//! Files that a command reads and writes: errors name the path, `-` is standard input or output, and nobody sees half a
//! file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Whether a path means standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// The same error with the path in front.
pub(crate) fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Opens a file, or standard input.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if is_standard(path) {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).and_then(|file| {
        if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
    });
    Ok(Box::new(file.map_err(|error| naming(path, &error))?))
}

/// Writes a whole file in the place of what was there.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut out = Sink::create(Some(path))?;
    out.write_all(content)?;
    out.finish()
}

/// Where a result goes: to standard output, or to a file that replaces what was there when it is finished.
pub(crate) struct Sink {
    out: BufWriter<Box<dyn Write>>,
    file: Option<Unfinished>,
}

struct Unfinished {
    /// What errors name.
    path: PathBuf,
    /// What it is renamed to; none where it is written in place.
    target: Option<PathBuf>,
    beside: PathBuf,
}

impl Sink {
    /// Without a path, or by `-`, standard output.
    pub(crate) fn create(path: Option<&Path>) -> io::Result<Self> {
        match path.filter(|path| !is_standard(path)) {
            None => Ok(Self { out: BufWriter::new(Box::new(io::stdout().lock())), file: None }),
            Some(path) => Self::file(path).map_err(|error| naming(path, &error)),
        }
    }

    fn file(path: &Path) -> io::Result<Self> {
        let there = std::fs::metadata(path).ok();
        // A pipe or a device has nothing to lose, and must not be replaced by a file.
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            let out = BufWriter::new(Box::new(File::options().write(true).open(path)?) as Box<dyn Write>);
            let file = Unfinished { path: path.to_owned(), target: None, beside: path.to_owned() };
            return Ok(Self { out, file: Some(file) });
        }
        // Behind a link the file itself is replaced, not the link.
        let target = if there.is_some() { path.canonicalize()? } else { path.to_owned() };
        let mut beside: OsString = target.clone().into();
        beside.push(format!(".{}.unfinished", std::process::id()));
        let beside = PathBuf::from(beside);
        let new = File::create(&beside)?;
        let file = Unfinished { path: path.to_owned(), target: Some(target), beside };
        if let Some(there) = there {
            new.set_permissions(there.permissions())?;
        }
        Ok(Self { out: BufWriter::new(Box::new(new)), file: Some(file) })
    }

    /// Makes the file what its path names.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let Some(target) = file.target.take() else { return Ok(()) };
        std::fs::rename(&file.beside, target).map_err(|error| {
            let _ = std::fs::remove_file(&file.beside);
            naming(&file.path, &error)
        })
    }

    fn named(&self, error: io::Error) -> io::Error {
        match &self.file {
            Some(file) => naming(&file.path, &error),
            None => error,
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.out.write(bytes) {
            Err(error) => Err(self.named(error)),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.out.flush() {
            Err(error) => Err(self.named(error)),
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for Sink {
    /// What is not finished is taken away again.
    fn drop(&mut self) {
        if let Some(Unfinished { target: Some(_), beside, .. }) = &self.file {
            let _ = std::fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of one's own, with a file in it.
    fn folder(name: &str) -> (PathBuf, PathBuf) {
        let folder = std::env::temp_dir().join(format!("sentinelctl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("rows.jsonl");
        std::fs::write(&file, "before").unwrap();
        (folder, file)
    }

    #[test]
    fn a_file_is_as_it_was_until_the_new_one_is_finished() {
        let (folder, file) = folder("finished");
        let mut sink = Sink::create(Some(&file)).unwrap();
        sink.write_all(b"after").unwrap();
        sink.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "before");
        sink.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "after");
        drop(Sink::create(Some(&file)).unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "after");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_device_a_device() {
        use std::os::unix::fs::FileTypeExt;
        let (folder, file) = folder("link");
        let link = folder.join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_whole(&link, b"after").unwrap();
        assert!(link.is_symlink() && std::fs::read_to_string(&file).unwrap() == "after");
        write_whole(Path::new("/dev/null"), b"after").unwrap();
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn errors_name_the_path() {
        let (folder, file) = folder("named");
        let missing = folder.join("no").join("rows.jsonl");
        let errors = [
            Sink::create(Some(&missing)).err().unwrap(),
            open(&missing).err().unwrap(),
            open(&folder).err().unwrap(),
        ];
        assert!(errors.iter().all(|error| error.to_string().contains("sentinelctl-named")), "{errors:?}");
        assert!(open(&file).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
