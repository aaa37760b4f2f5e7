//! The mark of a folder whose records are all encrypted.
//!
//! Without it, a writer to the volume who has no key could plant a plain record with a login of their own.

use super::{FileNames, FileStore, folder::Folder};
use crate::token::store::{FileError, Record, Store, StoreError, seal::Seal};

/// The file that marks the folder. No provider's name begins with a dot.
const MARK: &str = ".sealed";

impl Folder {
    /// Reads and decodes a record. In a marked folder, a store with a key rejects a plain one.
    pub(super) fn read_record(
        &self,
        name: &str,
        provider: &str,
        seal: &Seal,
    ) -> Result<Option<Record>, StoreError> {
        let Some(json) = self.read(name)? else {
            return Ok(None);
        };
        let decoded = match seal.has_key() && !Seal::is_sealed(&json) && self.read(MARK)?.is_some()
        {
            // One that is not whole is no record at all.
            true => Record::parse(&json, provider).and(Err(FileError::NotSealed)),
            false => seal.read(&json, provider),
        };
        decoded.map(Some).map_err(|error| StoreError::File {
            path: self.path(name),
            error,
        })
    }

    fn mark_as_sealed(&self) -> Result<(), StoreError> {
        self.create(MARK)?;
        self.sync()
    }
}

impl FileStore {
    /// Encrypts the plain records of a folder without a mark, and marks it.
    ///
    /// A record that another process has locked leaves the folder without a mark, for the next start.
    pub(super) fn seal_folder(&self, folder: &Folder) -> Result<(), StoreError> {
        if !self.seal.has_key() || folder.read(MARK)?.is_some() {
            return Ok(());
        }
        for provider in folder.providers()? {
            let Some(mut lock) = self.try_lock(&provider)? else {
                return Ok(());
            };
            let names = FileNames::new(&provider)?;
            let json = folder.read(&names.record)?;
            if json.is_none_or(|json| Seal::is_sealed(&json)) {
                continue;
            }
            match self.load(&provider) {
                Ok(Some(record)) => lock.save(&record)?,
                Ok(None) => {}
                // Its provider reports it, if there is one.
                Err(error) => tracing::warn!(provider, %error, "store.unsealed"),
            }
        }
        folder.mark_as_sealed()
    }
}
