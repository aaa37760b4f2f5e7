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
        let is_refused = seal.has_key() && !Seal::is_sealed(&json) && self.is_marked(seal)?;
        let decoded = match is_refused {
            // One that is not whole is no record at all.
            true => Record::parse(&json, provider).and(Err(FileError::NotSealed)),
            false => seal.read(&json, provider),
        };
        decoded.map(Some).map_err(|error| StoreError::File {
            path: self.path(name),
            error,
        })
    }

    /// Returns whether the folder has the mark, or had it in the life of this process.
    fn is_marked(&self, seal: &Seal) -> Result<bool, StoreError> {
        if !seal.requires_sealed() && self.read(MARK)?.is_some() {
            seal.require_sealed();
        }
        Ok(seal.requires_sealed())
    }

    fn mark_as_sealed(&self, seal: &Seal) -> Result<(), StoreError> {
        self.create(MARK)?;
        self.sync()?;
        seal.require_sealed();
        Ok(())
    }
}

impl FileStore {
    /// Encrypts the plain records of a folder without a mark, and marks it.
    ///
    /// With a record that another process has locked, or that cannot be read, the mark waits for another start.
    pub(super) fn seal_folder(&self, folder: &Folder) -> Result<(), StoreError> {
        if !self.seal.has_key() || folder.is_marked(&self.seal)? {
            return Ok(());
        }
        let mut is_sealed = true;
        for provider in folder.providers()? {
            is_sealed &= self.seal_record(folder, &provider).unwrap_or_else(|error| {
                // Its provider reports it as well, if there is one. The others work.
                tracing::warn!(provider, %error, "store.unsealed");
                false
            });
        }
        match is_sealed {
            true => folder.mark_as_sealed(&self.seal),
            false => Ok(()),
        }
    }

    /// Encrypts the record of one provider. Returns whether it is encrypted now.
    fn seal_record(&self, folder: &Folder, provider: &str) -> Result<bool, StoreError> {
        let Some(mut lock) = self.try_lock(provider)? else {
            return Ok(false);
        };
        let json = folder.read(&FileNames::new(provider)?.record)?;
        if json.is_none_or(|json| Seal::is_sealed(&json)) {
            return Ok(true);
        }
        if let Some(record) = self.load(provider)? {
            lock.save(&record)?;
        }
        Ok(true)
    }
}
