//! What a person reads when the server starts: where things are, and what to paste.

use std::io::{self, Write};
use std::path::Path;

/// Facts of this start.
#[derive(Debug)]
pub struct StartMessage<'a> {
    /// Absolute path of the data dir.
    pub data_dir: &'a Path,
    /// Whether this start made it.
    pub is_new: bool,
    /// The storage, unless it is the data dir.
    pub storage: Option<&'a str>,
    /// URLs where the server answers, the one for people first.
    pub addresses: &'a [String],
    /// What follows `terraform login`, such as `localhost:8080`.
    pub host: &'a str,
    /// Absolute path of the Terraform configuration file.
    pub tfrc: &'a Path,
    /// Absolute path of the bundle of roots, with the development certificate only.
    pub bundle: Option<&'a Path>,
}

impl StartMessage<'_> {
    /// Writes the message.
    ///
    /// # Errors
    /// When `out` is closed, which is no reason to stop.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let new = if self.is_new { " (new)" } else { "" };
        writeln!(out, "OpenTaco is ready.")?;
        writeln!(out, "  data dir: {}{new}", self.data_dir.display())?;
        if let Some(storage) = self.storage {
            writeln!(out, "  storage:  {storage}")?;
        }
        writeln!(out, "  address:  {}", self.addresses.join(" and "))?;
        writeln!(out)?;
        // Terraform keeps the token in this folder and does not make it.
        writeln!(out, "Tell Terraform about it, once:")?;
        writeln!(out, "  mkdir -p ~/.terraform.d && cp {} ~/.terraform.d/", quoted(self.tfrc))?;
        if let Some(bundle) = self.bundle {
            writeln!(out, "or, for https, in each shell:")?;
            writeln!(out, "  mkdir -p ~/.terraform.d && export SSL_CERT_FILE={}", quoted(bundle))?;
        }
        writeln!(out, "then:")?;
        writeln!(out, "  terraform login {}", self.host)?;
        out.flush()
    }
}

/// The Terraform configuration that finds this server without discovery: `base` is an URL without trailing slash.
pub fn tfrc(host: &str, base: &str) -> String {
    let state = ["tfe.v2", "tfe.v2.1", "tfe.v2.2", "state.v2"];
    let state = state.map(|name| format!("    \"{name}\" = \"{base}/tfe/api/v2/\"\n")).concat();
    format!(
        "# Written by opentacosvc at each start. Copy it to ~/.terraform.d/, where Terraform reads every .tfrc file.\n\
         host \"{host}\" {{\n  services = {{\n{state}    \"login.v1\" = {{\n      client      = \"terraform-cli\"\n      \
         grant_types = [\"authz_code\"]\n      authz       = \"{base}/oauth/authorization\"\n      \
         token       = \"{base}/oauth/token\"\n      ports       = [10000, 10010]\n    }}\n  }}\n}}\n"
    )
}

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@%:".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_can_be_pasted() -> io::Result<()> {
        let addresses = ["https://localhost:8080".to_owned(), "http://localhost:8080".to_owned()];
        let message = StartMessage {
            data_dir: Path::new("/home/o'neil/my data"),
            is_new: true,
            storage: Some("s3://bucket/prefix"),
            addresses: &addresses,
            host: "localhost:8080",
            tfrc: Path::new("/home/o'neil/my data/opentaco.tfrc"),
            bundle: Some(Path::new("/srv/tls/ca-bundle.pem")),
        };
        let mut out = Vec::new();
        message.write(&mut out)?;
        let out = String::from_utf8_lossy(&out);
        for line in [
            "  data dir: /home/o'neil/my data (new)\n",
            "  storage:  s3://bucket/prefix\n",
            "  address:  https://localhost:8080 and http://localhost:8080\n",
            " && cp '/home/o'\\''neil/my data/opentaco.tfrc' ~/.terraform.d/\n",
            " && export SSL_CERT_FILE=/srv/tls/ca-bundle.pem\n",
            "  terraform login localhost:8080\n",
        ] {
            assert!(out.contains(line), "{line:?} is not in:\n{out}");
        }
        Ok(())
    }
}
