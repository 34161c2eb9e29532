//! vmbuilder's options for EC2.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};

use super::Secret;
use crate::appliance::Ec2;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "EC2")]
pub(super) struct Ec2Options {
    /// Make the machine for EC2
    #[arg(long)]
    ec2: bool,
    /// Name of the image
    #[arg(long, value_name = "NAME", alias = "ec2-prefix", value_parser = NonEmptyStringValueParser::new())]
    ec2_name: Option<String>,
    /// Certificate that bundles are signed with
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ec2_cert: Option<PathBuf>,
    /// Private key that bundles are signed with
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ec2_key: Option<PathBuf>,
    /// Account number
    #[arg(long, value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    ec2_user: Option<String>,
    /// Bucket for the upload
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    ec2_bucket: Option<String>,
    /// Id of the access key
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    ec2_access_key: Option<String>,
    /// Secret of the access key; other users of this host can see it while rvmb runs
    #[arg(long, value_name = "SECRET")]
    ec2_secret_key: Option<Secret>,
    /// Id of the kernel image
    #[arg(long, value_name = "AKI", alias = "ec2-aki", value_parser = NonEmptyStringValueParser::new())]
    ec2_kernel: Option<String>,
    /// Id of the RAM disk image
    #[arg(long, value_name = "ARI", alias = "ec2-ari", value_parser = NonEmptyStringValueParser::new())]
    ec2_ramdisk: Option<String>,
    /// Version that the machine is told
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    ec2_version: Option<String>,
    /// Install Landscape's client
    #[arg(long)]
    ec2_landscape: bool,
    /// Bundle the image
    #[arg(long)]
    ec2_bundle: bool,
    /// Upload the bundle
    #[arg(long)]
    ec2_upload: bool,
    /// Register what was uploaded
    #[arg(long)]
    ec2_register: bool,
}

impl Ec2Options {
    pub(super) fn lower(self) -> Ec2 {
        Ec2 {
            wanted: self.ec2,
            name: self.ec2_name,
            certificate: self.ec2_cert,
            key: self.ec2_key,
            user: self.ec2_user,
            bucket: self.ec2_bucket,
            access_key: self.ec2_access_key,
            secret_key: self.ec2_secret_key.map(|Secret(text)| text),
            kernel: self.ec2_kernel,
            ramdisk: self.ec2_ramdisk,
            version: self.ec2_version,
            landscape: self.ec2_landscape,
            bundle: self.ec2_bundle,
            upload: self.ec2_upload,
            register: self.ec2_register,
        }
    }
}
