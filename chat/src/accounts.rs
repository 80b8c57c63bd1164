//! Accounts: register, login, a new password.

use protocol::{Code, Fault, Me, UserId};

use crate::password::Passwords;
use crate::{Chat, Error, Result, Username};

impl Chat {
    /// Makes an account, Offline until its first login.
    ///
    /// # Errors
    /// [`Code::RegistrationClosed`]; [`Code::UnusableName`]; [`Code::UnusablePassword`]; [`Code::NameTaken`];
    /// the database failed.
    pub async fn register(&self, username: &str, password: String) -> Result<UserId> {
        if !self.0.options.open_registration {
            return Err(Error::refused(Code::RegistrationClosed));
        }
        let name = Username::parse(username)?;
        Passwords::check(&password)?;
        let taken = || {
            Fault::new(
                Code::NameTaken,
                format!("The name “{}” is taken. Please choose another one.", name.as_str()),
            )
        };
        // Before the hash, which is the expensive part; the unique key decides all the same.
        if self.0.store.user_by_key(name.key()).await?.is_some() {
            return Err(taken().into());
        }
        let hash = self.0.passwords.hash(password).await?;
        self.0.store.create_user(&name, hash).await?.ok_or_else(|| taken().into())
    }

    /// Checks a name and its password, and counts the user as Online for a while: the socket takes over.
    ///
    /// # Errors
    /// [`Code::InvalidUser`], also for a name that could not exist; [`Code::WrongPassword`]; the database failed.
    pub async fn login(&self, username: &str, password: String) -> Result<Me> {
        let outcome = self.check_login(username, password).await;
        let said = match &outcome {
            Ok(_) => "in",
            Err(Error::Refused(fault)) => fault.error.name(),
            Err(_) => "failed",
        };
        metrics::counter!("natter_logins_total", "outcome" => said).increment(1);
        outcome
    }

    async fn check_login(&self, username: &str, password: String) -> Result<Me> {
        let unknown = || Error::refused(Code::InvalidUser);
        let name = Username::parse(username).map_err(|_| unknown())?;
        let user = self.0.store.user_by_key(name.key()).await?.ok_or_else(unknown)?;
        // What could never have been set is not worth a hash.
        let fits = Passwords::check(&password).is_ok();
        if !fits || !self.0.passwords.verify(password, user.password_hash).await? {
            return Err(Error::refused(Code::WrongPassword));
        }
        self.0.live.signed_in(user.user_id);
        Ok(Me { user_id: user.user_id, username: user.username })
    }

    /// Sets a new password for somebody who lost theirs, and ends all their logins.
    ///
    /// # Errors
    /// [`Code::InvalidUser`]; [`Code::UnusablePassword`]; the database failed.
    pub async fn set_password(&self, username: &str, password: String) -> Result<()> {
        let unknown = || Error::refused(Code::InvalidUser);
        let name = Username::parse(username).map_err(|_| unknown())?;
        let user = self.0.store.user_by_key(name.key()).await?.ok_or_else(unknown)?;
        Passwords::check(&password)?;
        let hash = self.0.passwords.hash(password).await?;
        self.0.store.set_password(user.user_id, hash).await?;
        self.0.live.revoke_user(user.user_id);
        Ok(())
    }
}
