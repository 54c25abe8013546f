// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package forms

// More reasons that several rows give.
const (
	national = "a national extension: what it adds must be in this table before it is kept"
	plumbing = "how messages find each other; a log's entries have an index and a leaf hash"
	delivery = "where data are delivered; gates answer to one recipient key"
	dict     = "by the dictionary below"
	answer   = "the provider writes it; by the dictionary below"
	approver = "persons and their contact data; the key stands for the office"
)

// object has the elements that HI1Object gives to each object.
var object = []row{
	{"", "ObjectIdentifier", "", plumbing},
	{"", "CountryCode", "", "the charter's party is of one State"},
	{"", "OwnerIdentifier", "warrant.signatures charter.parties[].name", "the owner signs, by a key of the charter"},
	{"", "Generation", "", "an event never changes: a later generation is a revocation, or a warrant that extends"},
	{"", "ExternalIdentifier", "", "it may be a case number; references are kept, for the subject"},
	{"", "AssociatedObjects", "warrant.public.extends", "if it is the authorisation that this one extends; tasks of one authorisation are one warrant"},
	{"", "LastChanged", "", ownClock},
	{"", "NationalHandlingParameters", "", national},
}

// authorisation has the elements of AuthorisationObject.
var authorisation = []row{
	{"", "AuthorisationReference", "warrant.subject.case", "if no approval has a reference"},
	{"", "AuthorisationLegalType", "warrant.instrument", dict},
	{"", "AuthorisationPriority", "", "how soon the provider executes; the warrant is the same"},
	{"", "AuthorisationStatus", "response.outcome", answer},
	{"", "AuthorisationDesiredStatus", "revocation.scope", dict},
	{"", "AuthorisationTimespan/StartTime", "warrant.notBefore", ""},
	{"", "AuthorisationTimespan/EndTime", "warrant.notAfter", "within the instrument's window; one that ends later is a new warrant that extends this one"},
	{"", "AuthorisationCSPID/CSPID", "warrant.provider", "one warrant for each, by a table of the log's operator; unknown ones are refused"},
	{"", "AuthorisationCreationTimestamp", "warrant.time", ""},
	{"", "AuthorisationServedTimestamp", "", ownClock},
	{"", "AuthorisationTerminationTimestamp", "revocation.time", "if it ends before its timespan does"},
	{"", "AuthorisationApprovalDetails", "warrant.signatures", "one signature for each authority that approves, see ApprovalDetails"},
	{"", "AuthorisationInvalidReason", "response.ground", "the ground of EPOC form 3 that its code states"},
	{"", "AuthorisationInvalidReason/ErrorCode", "response.ground", "by a table of the log's operator; unknown ones are refused"},
	{"", "AuthorisationInvalidReason/ErrorDescription", "", freeText},
	{"", "AuthorisationFlags/AuthorisationFlag", "warrant.sealed.until", dict},
	{"", "AuthorisationManualInformation", "", freeText},
	{"", "NationalAuthorisationParameters", "", national},
	{"", "AuthorisationJurisdiction", "", office},
	{"", "AuthorisationTypeOfCase", "warrant.offence", "by a table of the log's operator, since its entries are national; unknown ones are refused"},
	{"", "AuthorisationLegalEntity", "", office},
}

// approval has the elements of ApprovalDetails, which all three objects may have.
var approval = []row{
	{"", "ApprovalType", "charter.parties[].kind", "issuing or validating: the instrument names the kinds"},
	{"", "ApprovalDescription", "", freeText},
	{"", "ApprovalReference", "warrant.subject.case", "the issuing authority's, since the subject can ask there; " + oneCase},
	{"", "ApproverDetails/ApproverName", "charter.parties[].name", office},
	{"", "ApproverDetails/ApproverRole", "charter.parties[].kind", office},
	{"", "ApproverDetails/ApproverIdentity", "", approver},
	{"", "ApproverDetails/ApproverContactDetails", "", approver},
	{"", "ApprovalTimestamp", "warrant.time", "the issuer's; an event has one time"},
	{"", "ApprovalIsEmergency", "access.emergency", "true: no authority has approved yet; the duty key signs the access"},
	{"", "ApprovalDigitalSignature", "warrant.signatures", "of the event's encoding; the message's own signature stays in the file"},
	{"", "ApprovalNationalDetails", "", national},
}

// liTask has the elements of LITaskObject.
var liTask = []row{
	{"", "Reference", "", plumbing},
	{"", "Status", "response.outcome", answer},
	{"", "DesiredStatus", "revocation.scope", dict},
	{"", "Timespan/StartTime", "warrant.public.dataPeriods", "the window is the authorisation's"},
	{"", "Timespan/EndTime", "warrant.public.dataPeriods", "the window is the authorisation's"},
	{"", "Timespan/TerminationTime", "", ownClock},
	{"", "Timespan/ProvisioningTime", "", ownClock},
	{"", "Timespan/DeprovisioningTime", "", ownClock},
	{"", "TargetIdentifier/TargetIdentifierValues/TargetIdentifierValue/FormatType", "", "the gate compares the account's bytes; a converter writes it as the provider does"},
	{"", "TargetIdentifier/TargetIdentifierValues/TargetIdentifierValue/Value", "warrant.subject.identifier", "one opening for each; how many is accounts"},
	{"", "TargetIdentifier/ServiceType", "", category},
	{"", "DeliveryType", "warrant.categories", dict},
	{"", "DeliveryDetails/DeliveryDestination/DeliveryAddress", "", delivery},
	{"", "DeliveryDetails/DeliveryDestination/EncryptionDetails", "access.recipient", "only the key that the agency's key claims"},
	{"", "DeliveryDetails/DeliveryDestination/IRIorCC", "", delivery},
	{"", "DeliveryDetails/DeliveryDestination/HandoverFormat", "", delivery},
	{"", "DeliveryDetails/DeliveryDestination/DeliveryProfile", "", delivery},
	{"", "DeliveryDetails/DeliveryDestination/NationalDeliveryParameters", "", national},
	{"", "ApprovalDetails", "warrant.signatures", "see ApprovalDetails"},
	{"", "CSPID", "warrant.provider", "as in the authorisation"},
	{"", "HandlingProfile", "", delivery},
	{"", "InvalidReason", "response.ground", "as AuthorisationInvalidReason"},
	{"", "Flags/TaskFlag", "", "unknown ones are refused: a flag may say that the task is a test"},
	{"", "NationalLITaskingParameters", "", national},
	{"", "ListOfTrafficPolicyReferences", "", delivery},
}

// ldTask has the elements of LDTaskObject.
var ldTask = []row{
	{"", "Reference", "", plumbing},
	{"", "Status", "response.outcome", answer},
	{"", "StatusReason", "response.ground", "as AuthorisationInvalidReason"},
	{"", "DesiredStatus", "revocation.scope", dict},
	{"", "RequestDetails/Type", "warrant.categories", dict},
	{"", "RequestDetails/StartTime", "warrant.public.dataPeriods", "never the window"},
	{"", "RequestDetails/EndTime", "warrant.public.dataPeriods", "never the window"},
	{"", "RequestDetails/ObservedTime", "warrant.public.dataPeriods", "a period that ends as it begins"},
	{"", "RequestDetails/ObservedTimes", "warrant.public.dataPeriods", "a period for each"},
	{"", "RequestDetails/RequestValues/RequestValue/FormatType", "", "as in the LITaskObject"},
	{"", "RequestDetails/RequestValues/RequestValue/Value", "warrant.subject.identifier", "one opening for each; how many is accounts"},
	{"", "RequestDetails/Subtype/RequestSubtype", "", category},
	{"", "DeliveryDetails/LDDeliveryDestination/DeliveryAddress", "", delivery},
	{"", "DeliveryDetails/LDDeliveryDestination/EncryptionDetails", "access.recipient", "only the key that the agency's key claims"},
	{"", "DeliveryDetails/LDDeliveryDestination/LDHandoverFormat", "", delivery},
	{"", "DeliveryDetails/LDDeliveryDestination/LDDeliveryProfile", "", delivery},
	{"", "DeliveryDetails/LDDeliveryDestination/NationalDeliveryParameters", "", national},
	{"", "ApprovalDetails", "warrant.signatures", "see ApprovalDetails"},
	{"", "CSPID", "warrant.provider", "as in the authorisation"},
	{"", "HandlingProfile", "", delivery},
	{"", "Flags/LDTaskFlag", "", "unknown ones are refused: a flag may say that the task is a test"},
	{"", "NationalLDTaskingParameters", "", national},
}

// Conditions of several entries.
const (
	lastTask = "once no other task of the authorisation is left; categories, once none of the task's categories is; else no event: an event names no identifier"
	allTasks = "once every task of the authorisation is; a suspension stops a whole warrant"
	back     = "in an UPDATE that ends a suspension; else it is the warrant itself"
	progress = "the provider's own progress, which no rule counts"
	confirms = "the provider confirms what the revocation, or the window's end, says already"
	unable   = "with the ground of the reason; refused, if that is a ground of law"
)

// dictionary is the table of Lookup.
var dictionary = []struct {
	Entry
	to, why string
}{
	{Entry{"AuthorisationLegalType", "ETSI", "EPOCLegalType", "EPOC"}, "warrant.instrument", "the code follows from the categories"},
	{Entry{"AuthorisationLegalType", "ETSI", "EPOCLegalType", "EPOCPR"}, "warrant.instrument=epo-pr", ""},
	{Entry{"AuthorisationFlag", "ETSI", "AuthorisationFlag", "IsEmergency"}, "", "it shortens the provider's deadline; the warrant is the same"},
	{Entry{"AuthorisationFlag", "ETSI", "EPOCAuthorisationFlag", "DelayInformingUser"}, "warrant.sealed.until", "as far as the instrument's seal; later dates need a deferral"},
	{Entry{"AuthorisationFlag", "ETSI", "EPOCAuthorisationFlag", "EnforcingAuthorityNotified"}, "charter.parties[].enforces", "no event: the charter says it for all orders of an authority"},

	{Entry{"AuthorisationDesiredStatus", "ETSI", "AuthorisationDesiredStatus", "SubmittedToCSP"}, "warrant.decision=granted", "in a CREATE"},
	{Entry{"AuthorisationDesiredStatus", "ETSI", "AuthorisationDesiredStatus", "Approved"}, "revocation.scope=resumed", back},
	{Entry{"AuthorisationDesiredStatus", "ETSI", "AuthorisationDesiredStatus", "Suspended"}, "revocation.scope=suspended", ""},
	{Entry{"AuthorisationDesiredStatus", "ETSI", "AuthorisationDesiredStatus", "Cancelled"}, "revocation.scope=all", ""},
	{Entry{"AuthorisationStatus", "ETSI", "AuthorisationStatus", "AwaitingApproval"}, "", progress},
	{Entry{"AuthorisationStatus", "ETSI", "AuthorisationStatus", "Approved"}, "", progress},
	{Entry{"AuthorisationStatus", "ETSI", "AuthorisationStatus", "Cancelled"}, "", confirms},
	{Entry{"AuthorisationStatus", "ETSI", "AuthorisationStatus", "Expired"}, "", confirms},
	{Entry{"AuthorisationStatus", "ETSI", "AuthorisationStatus", "Rejected"}, "response.outcome=refused", "with the ground of the reason"},
	{Entry{"AuthorisationStatus", "ETSI", "AuthorisationStatus", "Invalid"}, "response.outcome=unable", unable},

	{Entry{"DesiredStatus", "ETSI", "TaskStatus", "Active"}, "revocation.scope=resumed", back},
	{Entry{"DesiredStatus", "ETSI", "TaskStatus", "Suspended"}, "revocation.scope=suspended", allTasks},
	{Entry{"DesiredStatus", "ETSI", "TaskStatus", "Cancelled"}, "revocation.scope=all", lastTask},
	{Entry{"Status", "ETSI", "TaskStatus", "AwaitingApproval"}, "", progress},
	{Entry{"Status", "ETSI", "TaskStatus", "AwaitingProvisioning"}, "", progress},
	{Entry{"Status", "ETSI", "TaskStatus", "Active"}, "", progress},
	{Entry{"Status", "ETSI", "TaskStatus", "Suspended"}, "", confirms},
	{Entry{"Status", "ETSI", "TaskStatus", "Cancelled"}, "", confirms},
	{Entry{"Status", "ETSI", "TaskStatus", "Expired"}, "", confirms},
	{Entry{"Status", "ETSI", "TaskStatus", "Rejected"}, "response.outcome=refused", "with the ground of the reason"},
	{Entry{"Status", "ETSI", "TaskStatus", "Invalid"}, "response.outcome=unable", unable},

	{Entry{"DesiredStatus", "3GPP", "LDTaskStatus", "AwaitingDisclosure"}, "revocation.scope=resumed", back},
	{Entry{"DesiredStatus", "ETSI", "LDTaskStatus", "AwaitingDisclosure"}, "revocation.scope=resumed", back},
	{Entry{"DesiredStatus", "ETSI", "LDTaskDesiredStatus", "AwaitingDisclosure"}, "revocation.scope=resumed", back},
	{Entry{"DesiredStatus", "ETSI", "LDTaskStatus", "Suspended"}, "revocation.scope=suspended", allTasks},
	{Entry{"DesiredStatus", "ETSI", "LDTaskStatus", "Cancelled"}, "revocation.scope=all", lastTask},
	{Entry{"Status", "ETSI", "LDTaskStatus", "AwaitingDisclosure"}, "", progress},
	{Entry{"Status", "ETSI", "LDTaskStatus", "Disclosed"}, "", "the releases say it, and the provider's return"},
	{Entry{"Status", "ETSI", "LDTaskStatus", "Cancelled"}, "", confirms},
	{Entry{"Status", "ETSI", "LDTaskStatus", "Expired"}, "", confirms},
	{Entry{"Status", "ETSI", "LDTaskStatus", "Rejected"}, "response.outcome=refused", "with the ground of the reason; partial, if other tasks are executed"},
	{Entry{"Status", "ETSI", "LDTaskStatus", "Invalid"}, "response.outcome=unable", unable + "; partial, if other tasks are executed"},

	{Entry{"Type", "3GPP", "RequestType", "IdentityAssociation"}, "warrant.categories=identification", ""},
	{Entry{"Type", "ETSI", "RequestType", "SubscriberData"}, "warrant.categories=subscriber", ""},
	{Entry{"Type", "ETSI", "RequestType", "UserIdentifyingData"}, "warrant.categories=identification", ""},
	{Entry{"Type", "ETSI", "RequestType", "SubscriberDataAndUserIdentifyingData"}, "warrant.categories=identification warrant.categories=subscriber", ""},
	{Entry{"Type", "ETSI", "RequestType", "TrafficData"}, "warrant.categories=traffic", ""},
	{Entry{"Type", "ETSI", "RequestType", "StoredContentData"}, "warrant.categories=content", ""},
	{Entry{"Type", "ETSI", "RequestType", "TrafficDataAndStoredContentData"}, "warrant.categories=content warrant.categories=traffic", ""},
	{Entry{"DeliveryType", "ETSI", "TaskDeliveryType", "IRIandCC"}, "warrant.categories=content warrant.categories=traffic", ""},
}
