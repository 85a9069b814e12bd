//! The operations of S3, each a call into the module of its noun.

use std::sync::Arc;

use engine::Engine;
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
    GetBucketWebsiteInput, GetBucketWebsiteOutput, GetObjectAclInput, GetObjectAclOutput, GetObjectInput,
    GetObjectLegalHoldInput, GetObjectLegalHoldOutput, GetObjectLockConfigurationInput,
    GetObjectLockConfigurationOutput, GetObjectOutput, GetObjectRetentionInput, GetObjectRetentionOutput,
    GetObjectTaggingInput, GetObjectTaggingOutput, GetPublicAccessBlockInput, GetPublicAccessBlockOutput,
    HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectVersionsInput, ListObjectVersionsOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput,
    Payer, PutBucketVersioningInput, PutBucketVersioningOutput, PutObjectInput, PutObjectOutput, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result};

use crate::subresource::{Absent, of_bucket, of_object};
use crate::{Settings, bucket, copy, listing, multipart, object};

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
        absent { $($absent:ident($absent_in:ident) -> $absent_out:ident = $what:ident;)* }
        absent_of_object { $($absent_of:ident($absent_of_in:ident) -> $absent_of_out:ident = $what_of:ident;)* }
        same_for_all { $($same:ident($same_in:ident) -> $same_out:ident = $answer:expr;)* }
        own { $($own:tt)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Store {
            $(async fn $call(&self, request: S3Request<$call_in>) -> S3Result<S3Response<$call_out>> {
                $function(&self.engine, request).await
            })*

            $(async fn $absent(&self, request: S3Request<$absent_in>) -> S3Result<S3Response<$absent_out>> {
                let input = &request.input;
                of_bucket(&self.engine, &request, &input.bucket, input.expected_bucket_owner.as_deref(), Absent::$what).await
            })*

            $(async fn $absent_of(&self, request: S3Request<$absent_of_in>) -> S3Result<S3Response<$absent_of_out>> {
                let input = &request.input;
                let version_id = input.version_id.as_deref();
                of_object(&self.engine, &request, &input.bucket, &input.key, version_id, Absent::$what_of).await
            })*

            $(async fn $same(&self, request: S3Request<$same_in>) -> S3Result<S3Response<$same_out>> {
                let input = &request.input;
                bucket::owned(&self.engine, &request, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
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
        get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = bucket::acl;
        list_objects(ListObjectsInput) -> ListObjectsOutput = listing::v1;
        list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = listing::v2;
        list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = listing::versions;
        put_object(PutObjectInput) -> PutObjectOutput = object::put;
        get_object(GetObjectInput) -> GetObjectOutput = object::get;
        head_object(HeadObjectInput) -> HeadObjectOutput = object::head;
        delete_object(DeleteObjectInput) -> DeleteObjectOutput = object::delete;
        delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = object::delete_many;
        get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = object::acl;
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
        get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = Cors;
        get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = Encryption;
        get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput)
            -> GetBucketLifecycleConfigurationOutput = Lifecycle;
        get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput = ObjectLock;
        get_bucket_ownership_controls(GetBucketOwnershipControlsInput)
            -> GetBucketOwnershipControlsOutput = OwnershipControls;
        get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = Policy;
        get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = Policy;
        get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = PublicAccessBlock;
        get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = Replication;
        get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = Tagging;
        get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = Website;
    }
    absent_of_object {
        get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput = ObjectLockOfObject;
        get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput = ObjectLockOfObject;
    }
    same_for_all {
        get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput)
            -> GetBucketAccelerateConfigurationOutput = GetBucketAccelerateConfigurationOutput::default();
        get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = GetBucketLoggingOutput::default();
        get_bucket_notification_configuration(GetBucketNotificationConfigurationInput)
            -> GetBucketNotificationConfigurationOutput = GetBucketNotificationConfigurationOutput::default();
        get_bucket_request_payment(GetBucketRequestPaymentInput)
            -> GetBucketRequestPaymentOutput
            = GetBucketRequestPaymentOutput { payer: Some(Payer::from_static(Payer::BUCKET_OWNER)) };
        delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = DeleteBucketCorsOutput::default();
        delete_bucket_encryption(DeleteBucketEncryptionInput)
            -> DeleteBucketEncryptionOutput = DeleteBucketEncryptionOutput::default();
        delete_bucket_lifecycle(DeleteBucketLifecycleInput)
            -> DeleteBucketLifecycleOutput = DeleteBucketLifecycleOutput::default();
        delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput)
            -> DeleteBucketOwnershipControlsOutput = DeleteBucketOwnershipControlsOutput::default();
        delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = DeleteBucketPolicyOutput::default();
        delete_bucket_replication(DeleteBucketReplicationInput)
            -> DeleteBucketReplicationOutput = DeleteBucketReplicationOutput::default();
        delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = DeleteBucketTaggingOutput::default();
        delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput = DeleteBucketWebsiteOutput::default();
        delete_public_access_block(DeletePublicAccessBlockInput)
            -> DeletePublicAccessBlockOutput = DeletePublicAccessBlockOutput::default();
    }
    own {
        async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
            bucket::head(&self.engine, &self.settings, request).await
        }

        async fn get_bucket_location(
            &self,
            request: S3Request<GetBucketLocationInput>,
        ) -> S3Result<S3Response<GetBucketLocationOutput>> {
            bucket::location(&self.engine, &self.settings, request).await
        }

        async fn get_object_tagging(
            &self,
            request: S3Request<GetObjectTaggingInput>,
        ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
            let input = &request.input;
            object::existing(&self.engine, &request, &input.bucket, &input.key, input.version_id.as_deref()).await?;
            Ok(S3Response::new(GetObjectTaggingOutput { tag_set: Vec::new(), version_id: None }))
        }

        async fn delete_object_tagging(
            &self,
            request: S3Request<DeleteObjectTaggingInput>,
        ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
            let input = &request.input;
            object::existing(&self.engine, &request, &input.bucket, &input.key, input.version_id.as_deref()).await?;
            Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: None }))
        }
    }
}
