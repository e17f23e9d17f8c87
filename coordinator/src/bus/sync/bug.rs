//! Mistakes that the tests of the tests make on purpose.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Bug {
    /// The hint is stored before the word that it counts.
    TailBeforeWord = 1,
    /// A record's word is stored without ordering.
    PublishRelaxed = 2,
    /// A fenced producer does not find out.
    NoFence = 3,
    /// The bell is looked at without a fence behind the publication.
    RingWithoutFence = 4,
    /// A record is acknowledged before it is recorded.
    AcknowledgeFirst = 5,
    /// A record is shown before its payload is written.
    PublishBeforeBytes = 6,
    /// A successor takes what its predecessor had staged for its own: it goes on in the same epoch,
    /// and wipes nothing.
    SameEpoch = 7,
    /// The bell is disarmed before the sleeper is woken.
    DisarmFirst = 8,
    /// An entry is free before its answer is published in the client's ring.
    FreeBeforeTold = 9,
    /// The client's record is acknowledged before it is in the table.
    AcknowledgeBeforeTable = 10,
    /// A successor decides about leases before it has taken what the dead workers had published.
    LeasesBeforeAnswers = 11,
    /// A record is not staged, and its writer does not find out.
    LosesRecord = 12,
    /// A record is staged twice.
    DoublesRecord = 13,
    /// A record, and what follows it, is staged a second late.
    DelaysRecord = 14,
    /// The last byte of a record is another one.
    ChangesRecord = 15,
    /// Workers outlive their coordinator, and its successor believes what they say.
    ObeysTheDead = 16,
}
