// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package forms

// Reasons that several rows give.
const (
	freeText  = "free text, which a log could never erase"
	contact   = "contact data of persons; the provider's file has them"
	office    = "the charter names the party, once for all of its orders"
	oneCase   = "one case number is enough for the subject to ask after it"
	narrower  = "narrower than a category; the provider's file has it"
	category  = "a sub-type of the category; the provider's file has it"
	otherKind = "free text; its category is stated by the box above it"
	emergency = "without prior validation only (section I); on a validated order it shortens the provider's deadline"
	ownClock  = "the log proves times itself; a claimed one adds nothing"
)

// epoc1 has the fields of annex I of Regulation (EU) 2023/1543.
var epoc1 = []row{
	{"A", "issuing State", "", "the charter's party is of one State"},
	{"A", "issuing authority", "warrant.signatures charter.parties[].name", "the issuer's key signs the warrant"},
	{"A", "validating authority", "warrant.signatures charter.parties[].name", "the second signature, by a kind that the instrument's validators name"},
	{"A", "file number of the issuing authority", "warrant.subject.case", ""},
	{"A", "file number of the validating authority", "", oneCase},

	{"B", "addressee", "warrant.provider", "the provider for which it acts, by its name in the charter"},
	{"B", "designated establishment, or legal representative", "", office},
	{"B", "emergency case addressed to another establishment", "", "the provider signs for all of its establishments"},
	{"B", "address, telephone, fax, e-mail, contact person", "", contact},
	{"B", "file number of the addressee", "", "the provider's own; the index of the entry serves as one"},
	{"B", "service provider concerned, if another", "warrant.provider", ""},
	{"B", "other relevant information", "", freeText},

	{"C", "within 10 days", "warrant.notAfter", "the window ends no earlier than the deadline; how soon to execute is the provider's duty"},
	{"C", "at the end of 10 days if the enforcing authority raises no ground", "warrant.notBefore", "the window may begin after the enforcing authority's 10 days"},
	{"C", "within 8 hours: threat to a person", "access.emergency=life-or-safety", emergency},
	{"C", "within 8 hours: threat to critical infrastructure", "access.emergency=critical-infrastructure", emergency},
	{"C", "other procedural deadlines, further information", "", freeText},

	{"D", "earlier preservation: whole or part, by whom, date, addressee", "warrant.public.extends", "the reference of the epo-pr warrant, if this log has it; its authority, date and provider are there"},
	{"D", "file number of the earlier request", "warrant.subject.case", "that of the earlier warrant"},

	{"E", "IP addresses and time stamps", "warrant.subject.identifier", "one opening for each; a time stamp goes to dataPeriods"},
	{"E", "telephone numbers", "warrant.subject.identifier", ""},
	{"E", "e-mail addresses", "warrant.subject.identifier", ""},
	{"E", "IMEI numbers", "warrant.subject.identifier", ""},
	{"E", "MAC addresses", "warrant.subject.identifier", ""},
	{"E", "users, account names, login IDs", "warrant.subject.identifier", "as the provider spells the account: a gate compares bytes"},
	{"E", "how many identifiers", "warrant.accounts", "at least so many: each access counts the accounts that it opens"},
	{"E", "names of the relevant services", "", "the account says it"},
	{"E", "other identifying information", "", freeText},
	{"E", "time range requested", "warrant.public.dataPeriods", "never the window"},

	{"F", "(a) subscriber data", "warrant.categories=subscriber warrant.instrument=epo-subscriber", "the instrument is that of the most demanding category"},
	{"F", "(a) its boxes: name, registration, service, profile, validation, payment, PUK", "", category},
	{"F", "(b) data to identify the user only", "warrant.categories=identification warrant.instrument=epo-identification", ""},
	{"F", "(b) its boxes: connection records, ports, time range", "", category},
	{"F", "(c) traffic data", "warrant.categories=traffic warrant.instrument=epo-traffic", ""},
	{"F", "(c) its boxes: telephony, internet, hosting, other", "", category},
	{"F", "(d) content data", "warrant.categories=content warrant.instrument=epo-content", ""},
	{"F", "(d) its boxes: mailbox, storage, page, messages, voicemail, server, device", "", category},
	{"F", "other data of a category", "", otherKind},
	{"F", "additional information to specify or limit the data", "", narrower},

	{"G", "(i) criminal proceedings", "warrant.public.grounds=criminal-proceedings warrant.public.proceeding", "the proceeding is a tag, by a secret of the authority"},
	{"G", "(i) execution of a sentence of four months or more", "warrant.offence=sentence-of-four-months", ""},
	{"G", "(ii) nature and legal classification of the offence", "", freeText},
	{"G", "(iii) no box", "warrant.offence=all-offences", "for subscriber and identification data only"},
	{"G", "(iii) offence punishable by 3 years or more", "warrant.offence=three-years-or-more", ""},
	{"G", "(iii) fraud with non-cash means of payment", "warrant.offence=non-cash-payment-fraud", ""},
	{"G", "(iii) sexual abuse of children", "warrant.offence=child-sexual-abuse", ""},
	{"G", "(iii) attacks on information systems", "warrant.offence=attacks-on-information-systems", ""},
	{"G", "(iii) terrorism", "warrant.offence=terrorism", ""},
	{"G", "(iii) several boxes", "warrant.offence", "a warrant has one: the authority chooses"},
	{"G", "(iv) addressed to a controller or a processor, and why", "", "the warrant's provider is the same in both"},
	{"G", "(iv) whether the processor informs the controller", "", "the provider tells it or not; the log tells it when the seal ends"},
	{"G", "(v) infrastructure of a public authority", "", "a condition of lawfulness; a log judges none"},
	{"G", "(vi) data under professional privilege", "", "a condition of lawfulness, too; a provider that raises it responds"},
	{"G", "(vii) other relevant information", "", freeText},

	{"H", "the issuing authority delays informing the person", "warrant.sealed.until", "as far as the instrument's seal; later dates need a deferral"},
	{"H", "to avoid obstructing inquiries or proceedings", "warrant.public.grounds=obstruction", ""},
	{"H", "to avoid prejudice to detection, prosecution or penalties", "warrant.public.grounds=prejudice-to-investigation", ""},
	{"H", "to protect public security", "warrant.public.grounds=public-security", ""},
	{"H", "to protect national security", "warrant.public.grounds=national-security", ""},
	{"H", "to protect the rights and freedoms of others", "warrant.public.grounds=rights-of-others", ""},
	{"H", "no box", "warrant.sealed.until", "the instrument's default seal"},

	{"I", "judge, court or investigating judge; prosecutor; other authority", "charter.parties[].kind", "the instrument names the kinds that sign alone"},
	{"I", "emergency without prior validation", "access.emergency", "the box of section C is the ground. The issuer's duty key signs the access; a warrant that validates it follows"},
	{"I", "name of the authority", "charter.parties[].name", office},
	{"I", "name and post of its representative", "", "a person; the key stands for the office"},
	{"I", "file number", "warrant.subject.case", "as in section A"},
	{"I", "address, telephone, fax, e-mail, languages", "", contact},
	{"I", "other contact point", "", contact},
	{"I", "date", "warrant.time", ""},
	{"I", "signature", "warrant.signatures", "of the event's encoding; the form's own signature stays in the file"},

	{"J", "judge, court or investigating judge; prosecutor", "charter.parties[].kind", "the instrument's validators"},
	{"J", "name of the authority", "charter.parties[].name", office},
	{"J", "name and post of its representative", "", "a person; the key stands for the office"},
	{"J", "file number", "", "as in section A"},
	{"J", "address, telephone, fax, e-mail, languages", "", contact},
	{"J", "date", "", "an event has one time, the issuer's; the log proves when both signatures were there"},
	{"J", "signature", "warrant.signatures", ""},

	{"K", "notified enforcing authority", "charter.parties[].enforces", "the charter says whose warrants it may revoke and suspend; that this order was notified stays in the file"},
	{"K", "its contact details", "", contact},

	{"L", "(a) authority to which the data go", "warrant.public.agency warrant.public.agencyKey access.recipient", "the agency's key claims the one key to which gates answer"},
	{"L", "(a) its contact details", "", contact},
	{"L", "(b) format and means of the transfer", "", "gates answer in one format"},

	{"M", "necessity, proportionality, summary of the case", "", "free text, which not even the addressee gets"},
	{"M", "box of the list of offences in annex IV", "", "the offence class of section G is what a statistic counts"},
}

// epoc3 has the fields of annex III of Regulation (EU) 2023/1543.
var epoc3 = []row{
	{"A", "EPOC, or EPOC-PR", "response.warrant", "the warrant's instrument says which"},
	{"B", "issuing, validating and enforcing authority", "response.warrant", "the warrant's signatures and the charter name them"},
	{"B", "their file numbers", "", "the warrant seals one for the subject"},
	{"B", "date of issue", "response.warrant", "the warrant's time"},
	{"B", "date of receipt", "", ownClock},
	{"C", "addressee", "response.signatures", "the provider's key signs"},
	{"C", "file number of the addressee", "", "the provider's own"},

	{"D", "it is incomplete", "response.ground=incomplete", "outcome unable"},
	{"D", "it contains manifest errors", "response.ground=manifest-error", "outcome unable"},
	{"D", "it does not contain sufficient information", "response.ground=insufficient-information", "outcome unable"},
	{"D", "the data are not stored by or for the provider", "response.ground=data-not-held", "outcome unable"},
	{"D", "the data are no longer held, or can't be preserved", "response.ground=data-not-held", "outcome unable"},
	{"D", "other de facto impossibility", "response.ground=impossible", "outcome unable"},
	{"D", "not issued or validated by an authority of article 4", "response.ground=not-validated", "outcome refused"},
	{"D", "offence not of article 5(4)", "response.ground=offence-not-covered", "outcome refused"},
	{"D", "service not in the Regulation's scope", "response.ground=service-not-covered", "outcome refused"},
	{"D", "immunities or privileges, freedom of the press", "response.ground=immunity response.ground=press-freedom", "outcome refused; the one that applies"},
	{"D", "conflict with the law of a third country", "response.ground=conflict-of-law", "outcome refused; section E has its reasons"},
	{"D", "several reasons", "response.ground", "the first of them that ends the whole order; a response names one"},
	{"D", "only some of the data", "response.outcome=partial response.categories", "categories; a part of one category is an access to fewer accounts, and no response"},
	{"D", "further explanation", "", freeText},

	{"E", "title and provisions of the third country's law", "", freeText},
	{"E", "nature of the obligation: rights, security, other interests", "response.ground=conflict-of-law", "which of them stays in the file"},
	{"E", "why it applies and conflicts; link to the country; consequences", "", freeText},
	{"E", "other relevant information", "", freeText},

	{"F", "further information required of the issuing authority", "", freeText + "; a response follows if none comes"},

	{"G", "the data are being preserved", "", "the default of the law; a log sees no storage"},
	{"G", "the data are not being preserved, and why", "response.outcome=unable", "on an epo-pr warrant, with the ground of section D"},

	{"H", "designated establishment or representative; contact person", "", contact},
	{"H", "name of the authorised person", "", "a person; the key stands for the provider"},
	{"H", "date", "response.time", ""},
	{"H", "signature", "response.signatures", "of the event's encoding; the form's own signature stays in the file"},
}
