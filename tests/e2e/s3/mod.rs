//! The S3 doors, asked by the clients that people use.

mod aws_sdk_go;
mod aws_sdk_java;
mod aws_sdk_js;
mod awscli;
mod boto3;
mod commits;
mod duplicity;
mod encryption;
mod events;
mod java;
mod lifecycle;
mod malformed;
mod memory;
mod minio_js;
mod rclone;
mod restic;
mod s3cmd;
mod s3fs;
mod s3s_e2e;
mod tree;
mod virtual_host;
