//! The operations of S3, each a call into the module of its noun.

use std::sync::Arc;

use engine::{Action, Engine};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketEncryptionInput,
    DeleteBucketEncryptionOutput, DeleteBucketInput, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput,
    DeleteBucketOutput, DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput,
    DeleteBucketPolicyInput, DeleteBucketPolicyOutput, DeleteBucketReplicationInput, DeleteBucketReplicationOutput,
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, DeleteBucketWebsiteInput, DeleteBucketWebsiteOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectTaggingInput, DeleteObjectTaggingOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletePublicAccessBlockInput, DeletePublicAccessBlockOutput,
    GetBucketAccelerateConfigurationInput, GetBucketAccelerateConfigurationOutput, GetBucketAclInput,
    GetBucketAclOutput, GetBucketCorsInput, GetBucketCorsOutput, GetBucketEncryptionInput, GetBucketEncryptionOutput,
    GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetBucketLoggingInput, GetBucketLoggingOutput, GetBucketNotificationConfigurationInput,
    GetBucketNotificationConfigurationOutput, GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput,
    GetBucketPolicyInput, GetBucketPolicyOutput, GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput,
    GetBucketReplicationInput, GetBucketReplicationOutput, GetBucketRequestPaymentInput, GetBucketRequestPaymentOutput,
    GetBucketTaggingInput, GetBucketTaggingOutput, GetBucketVersioningInput, GetBucketVersioningOutput,
    GetBucketWebsiteInput, GetBucketWebsiteOutput, GetObjectAclInput, GetObjectAclOutput, GetObjectAttributesInput,
    GetObjectAttributesOutput, GetObjectInput, GetObjectLegalHoldInput, GetObjectLegalHoldOutput,
    GetObjectLockConfigurationInput, GetObjectLockConfigurationOutput, GetObjectOutput, GetObjectRetentionInput,
    GetObjectRetentionOutput, GetObjectTaggingInput, GetObjectTaggingOutput, GetPublicAccessBlockInput,
    GetPublicAccessBlockOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectVersionsInput,
    ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ListPartsInput, ListPartsOutput, Payer, PutBucketAccelerateConfigurationInput,
    PutBucketAccelerateConfigurationOutput, PutBucketAclInput, PutBucketAclOutput, PutBucketCorsInput,
    PutBucketCorsOutput, PutBucketEncryptionInput, PutBucketEncryptionOutput, PutBucketLifecycleConfigurationInput,
    PutBucketLifecycleConfigurationOutput, PutBucketLoggingInput, PutBucketLoggingOutput,
    PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput, PutBucketOwnershipControlsInput,
    PutBucketOwnershipControlsOutput, PutBucketPolicyInput, PutBucketPolicyOutput, PutBucketRequestPaymentInput,
    PutBucketRequestPaymentOutput, PutBucketTaggingInput, PutBucketTaggingOutput, PutBucketVersioningInput,
    PutBucketVersioningOutput, PutBucketWebsiteInput, PutBucketWebsiteOutput, PutObjectAclInput, PutObjectAclOutput,
    PutObjectInput, PutObjectLegalHoldInput, PutObjectLegalHoldOutput, PutObjectLockConfigurationInput,
    PutObjectLockConfigurationOutput, PutObjectOutput, PutObjectRetentionInput, PutObjectRetentionOutput,
    PutObjectTaggingInput, PutObjectTaggingOutput, PutPublicAccessBlockInput, PutPublicAccessBlockOutput,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result};

use crate::subresource::Absent;
use crate::{
    Settings, access_log, acl, attributes, bucket, copy, encryption, lifecycle, listing, lock, multipart, notification,
    object, payment, settings_of_bucket, tagging, website,
};

/// S3 over the engine.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) engine: Engine,
    pub(crate) settings: Arc<Settings>,
}

/// Writes the methods that differ in nothing but their names. It writes the whole `impl`, because the attribute on it must see them.
macro_rules! answer_s3 {
    (
        calls { $($call:ident($call_in:ident) -> $call_out:ident = $function:path;)* }
        absent { $($absent:ident($absent_in:ident) -> $absent_out:ident = $what:ident, $absent_action:ident;)* }
        same_for_all { $($same:ident($same_in:ident) -> $same_out:ident = $same_action:ident, $answer:expr;)* }
        own { $($own:tt)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Store {
            $(async fn $call(&self, request: S3Request<$call_in>) -> S3Result<S3Response<$call_out>> {
                $function(&self.engine, request).await
            })*

            $(async fn $absent(&self, request: S3Request<$absent_in>) -> S3Result<S3Response<$absent_out>> {
                let input = &request.input;
                let expected_owner = input.expected_bucket_owner.as_deref();
                bucket::allowed(&self.engine, &request, Action::$absent_action, &input.bucket, expected_owner).await?;
                Err(Absent::$what.error())
            })*

            $(async fn $same(&self, request: S3Request<$same_in>) -> S3Result<S3Response<$same_out>> {
                let input = &request.input;
                let expected_owner = input.expected_bucket_owner.as_deref();
                bucket::allowed(&self.engine, &request, Action::$same_action, &input.bucket, expected_owner).await?;
                Ok(S3Response::new($answer))
            })*

            $($own)*
        }
    };
}

answer_s3! {
    calls {
        list_buckets(ListBucketsInput) -> ListBucketsOutput = bucket::list;
        create_bucket(CreateBucketInput) -> CreateBucketOutput = bucket::create;
        delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = bucket::delete;
        get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = bucket::versioning;
        put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = bucket::put_versioning;
        get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = acl::get_of_bucket;
        put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput = acl::put_of_bucket;
        get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = settings_of_bucket::cors;
        put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput = settings_of_bucket::put_cors;
        delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = settings_of_bucket::delete_cors;
        get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = encryption::of_bucket;
        put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput = encryption::put_of_bucket;
        delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput = encryption::delete_of_bucket;
        get_bucket_ownership_controls(GetBucketOwnershipControlsInput)
            -> GetBucketOwnershipControlsOutput = settings_of_bucket::ownership;
        put_bucket_ownership_controls(PutBucketOwnershipControlsInput)
            -> PutBucketOwnershipControlsOutput = settings_of_bucket::put_ownership;
        delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput)
            -> DeleteBucketOwnershipControlsOutput = settings_of_bucket::delete_ownership;
        get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = settings_of_bucket::policy;
        get_bucket_policy_status(GetBucketPolicyStatusInput)
            -> GetBucketPolicyStatusOutput = settings_of_bucket::policy_status;
        put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput = settings_of_bucket::put_policy;
        delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = settings_of_bucket::delete_policy;
        get_public_access_block(GetPublicAccessBlockInput)
            -> GetPublicAccessBlockOutput = settings_of_bucket::public_access;
        put_public_access_block(PutPublicAccessBlockInput)
            -> PutPublicAccessBlockOutput = settings_of_bucket::put_public_access;
        delete_public_access_block(DeletePublicAccessBlockInput)
            -> DeletePublicAccessBlockOutput = settings_of_bucket::delete_public_access;
        get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = tagging::get_of_bucket;
        put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = tagging::put_of_bucket;
        delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = tagging::delete_of_bucket;
        get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = tagging::get_of_object;
        put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = tagging::put_of_object;
        delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = tagging::delete_of_object;
        get_object_lock_configuration(GetObjectLockConfigurationInput)
            -> GetObjectLockConfigurationOutput = lock::configuration;
        put_object_lock_configuration(PutObjectLockConfigurationInput)
            -> PutObjectLockConfigurationOutput = lock::put_configuration;
        get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput)
            -> GetBucketLifecycleConfigurationOutput = lifecycle::get;
        put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput)
            -> PutBucketLifecycleConfigurationOutput = lifecycle::put;
        delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = lifecycle::delete;
        get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = website::get;
        put_bucket_website(PutBucketWebsiteInput) -> PutBucketWebsiteOutput = website::put;
        delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput = website::delete;
        get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = access_log::get;
        put_bucket_request_payment(PutBucketRequestPaymentInput)
            -> PutBucketRequestPaymentOutput = payment::put_payer;
        put_bucket_accelerate_configuration(PutBucketAccelerateConfigurationInput)
            -> PutBucketAccelerateConfigurationOutput = payment::put_acceleration;
        get_bucket_notification_configuration(GetBucketNotificationConfigurationInput)
            -> GetBucketNotificationConfigurationOutput = notification::get;
        put_bucket_notification_configuration(PutBucketNotificationConfigurationInput)
            -> PutBucketNotificationConfigurationOutput = notification::put;
        get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput = lock::retention;
        put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput = lock::put_retention;
        get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput = lock::legal_hold;
        put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput = lock::put_legal_hold;
        put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = acl::put_of_object;
        list_objects(ListObjectsInput) -> ListObjectsOutput = listing::v1;
        list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = listing::v2;
        list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = listing::versions;
        put_object(PutObjectInput) -> PutObjectOutput = object::put;
        get_object(GetObjectInput) -> GetObjectOutput = object::get;
        get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = attributes::get;
        head_object(HeadObjectInput) -> HeadObjectOutput = object::head;
        delete_object(DeleteObjectInput) -> DeleteObjectOutput = object::delete;
        delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = object::delete_many;
        get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = acl::get_of_object;
        copy_object(CopyObjectInput) -> CopyObjectOutput = copy::object;
        upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copy::part;
        create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart::create;
        upload_part(UploadPartInput) -> UploadPartOutput = multipart::put_part;
        complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart::complete;
        abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart::abort;
        list_parts(ListPartsInput) -> ListPartsOutput = multipart::list_parts;
        list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = multipart::list;
    }
    absent {
        get_bucket_replication(GetBucketReplicationInput)
            -> GetBucketReplicationOutput = Replication, GetReplicationConfiguration;
    }
    same_for_all {
        get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput)
            -> GetBucketAccelerateConfigurationOutput
            = GetAccelerateConfiguration, GetBucketAccelerateConfigurationOutput::default();
        get_bucket_request_payment(GetBucketRequestPaymentInput)
            -> GetBucketRequestPaymentOutput
            = GetBucketRequestPayment,
              GetBucketRequestPaymentOutput { payer: Some(Payer::from_static(Payer::BUCKET_OWNER)) };
        delete_bucket_replication(DeleteBucketReplicationInput)
            -> DeleteBucketReplicationOutput = PutReplicationConfiguration, DeleteBucketReplicationOutput::default();
    }
    own {
        async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
            bucket::head(&self.engine, &self.settings, request).await
        }

        async fn put_bucket_logging(
            &self,
            request: S3Request<PutBucketLoggingInput>,
        ) -> S3Result<S3Response<PutBucketLoggingOutput>> {
            access_log::put(&self.engine, &self.settings, request).await
        }

        async fn get_bucket_location(
            &self,
            request: S3Request<GetBucketLocationInput>,
        ) -> S3Result<S3Response<GetBucketLocationOutput>> {
            bucket::location(&self.engine, &self.settings, request).await
        }
    }
}
