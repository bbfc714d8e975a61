"""Everything storage raises.

StorageError
├── BadKey                   the caller's misuse: no object can have this key
├── BadRange                 the caller's misuse: a byte range that runs backwards or starts below 0
├── BadMetadata              the caller's misuse: metadata that not every store can keep
├── SourceUnreadable         the caller's misuse: the file to store can't be read
├── ObjectNotFound           there is no object under this key (or it was deleted meanwhile)
├── ObjectChanged            the object was replaced while it was being read
├── UploadGone               there is no such multipart upload (any more)
├── BadParts                 the caller's misuse: parts that make no object
├── LinkInvalid              the caller's misuse: a signature that is not ours, or for something else
├── LinkExpired              the caller's misuse: a signature of ours whose time is over
├── StoreUnavailable         the provider's or operator's: objects can't be read or written now
│   ├── StoreFull            the medium has no room left
│   └── StoreMisconfigured   the operator's: it will not get better by waiting
│       ├── CredentialsRefused  unknown key, wrong secret
│       ├── CredentialsExpired  they were right once
│       ├── PermissionMissing   the credentials are right, but may not do this
│       ├── BucketMissing       there is no such bucket
│       ├── WrongRegion         the bucket is in another region
│       ├── ClockSkewed         this machine's clock and the store's are too far apart
│       └── EndpointWrong       nothing, or something else, answers at the endpoint
└── CatalogError
    ├── BadCatalogUrl        the operator's: a database URL that names no supported database
    ├── BadValue             the caller's misuse: a value or column the catalog can't hold
    ├── RowNotFound          there is no row under this id
    ├── StatusConflict       a compare-and-set lost: the row is in another status
    ├── DuplicateActive      the room already has a recording that is starting or recording
    ├── InviteUnknown        no invite has this code
    ├── InviteExpired        the invite's time is over
    ├── InviteUsedUp         the invite was redeemed as often as it may be
    └── CatalogUnavailable   the operator's: the database can't be reached, read or written
        ├── CatalogInUse     another server works on it
        ├── CatalogOutdated  its tables are older than this program
        └── CatalogTooNew    its tables are newer than this program

The message of a StoreUnavailable or CatalogUnavailable is one plain sentence for an operator, without
secrets.
"""


class StorageError(Exception):
    """Base of all errors of this package. `code` is stable and fit for clients."""

    code = "storage_error"


class BadKey(StorageError):
    code = "bad_key"


class BadRange(StorageError):
    code = "bad_range"


class SourceUnreadable(StorageError):
    code = "source_unreadable"


class ObjectNotFound(StorageError):
    code = "object_not_found"


class BadMetadata(StorageError):
    code = "bad_metadata"


class ObjectChanged(StorageError):
    code = "object_changed"


class UploadGone(StorageError):
    code = "upload_gone"


class BadParts(StorageError):
    """Wrong numbers or ETags, too small, or none."""

    code = "bad_parts"


class LinkInvalid(StorageError):
    code = "link_invalid"


class LinkExpired(StorageError):
    code = "link_expired"


class StoreUnavailable(StorageError):
    """`passing`: the same call may work in a moment. `undone`: the store certainly did nothing.

    `retry_after` is how many seconds the store wants to be left alone, None if it did not say.
    """

    code = "store_unavailable"

    def __init__(
        self,
        message: str,
        *,
        passing: bool = False,
        undone: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.passing = passing
        self.undone = undone
        self.retry_after = retry_after


class StoreFull(StoreUnavailable):
    code = "store_full"


class StoreMisconfigured(StoreUnavailable):
    code = "store_misconfigured"


class CredentialsRefused(StoreMisconfigured):
    code = "store_credentials_refused"


class CredentialsExpired(StoreMisconfigured):
    code = "store_credentials_expired"


class PermissionMissing(StoreMisconfigured):
    code = "store_permission_missing"


class BucketMissing(StoreMisconfigured):
    code = "store_bucket_missing"


class WrongRegion(StoreMisconfigured):
    code = "store_wrong_region"


class ClockSkewed(StoreMisconfigured):
    code = "store_clock_skewed"


class EndpointWrong(StoreMisconfigured):
    code = "store_endpoint_wrong"


class CatalogError(StorageError):
    code = "catalog_error"


class BadCatalogUrl(CatalogError):
    code = "bad_catalog_url"


class BadValue(CatalogError):
    code = "bad_value"


class RowNotFound(CatalogError):
    code = "row_not_found"


class StatusConflict(CatalogError):
    """`status` is what the row's status was when the change was refused."""

    code = "status_conflict"

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


class DuplicateActive(CatalogError):
    """`existing_id` is the recording that already runs in the room."""

    code = "duplicate_active"

    def __init__(self, room: str, existing_id: str) -> None:
        super().__init__(f"room {room!r} is already being recorded by {existing_id}")
        self.existing_id = existing_id


class InviteUnknown(CatalogError):
    code = "invite_unknown"


class InviteExpired(CatalogError):
    code = "invite_expired"


class InviteUsedUp(CatalogError):
    code = "invite_used_up"


class CatalogUnavailable(CatalogError):
    code = "catalog_unavailable"


class CatalogInUse(CatalogUnavailable):
    code = "catalog_in_use"


class CatalogOutdated(CatalogUnavailable):
    code = "catalog_outdated"


class CatalogTooNew(CatalogUnavailable):
    code = "catalog_too_new"
