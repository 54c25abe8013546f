profile | eu
title   | European Union: European Production and Preservation Orders (e-evidence)

rests | Regulation (EU) 2023/1543 art. 13 | Read: the issuing authority informs the person without undue delay; it may delay, restrict or omit this under national law, as far and as long as Directive (EU) 2016/680 art. 13(3) is met, and puts the reasons on file.
rests | Regulation (EU) 2023/1543 art. 4(1), 4(2) | Read: a judge, a court or an investigating judge issues any order, a public prosecutor those for subscriber and identification data; another competent investigating authority needs the validation of one of these who could issue the order.
rests | Regulation (EU) 2023/1543 art. 8, 10, 12(1) | Read: the enforcing authority is notified of orders for traffic and content data, unless the offence and the person are the issuing State's; that suspends the order for up to 10 days, except in an emergency; it then has 96 hours. Data are sent within 10 days of receipt, in an emergency within 8 hours.
rests | Regulation (EU) 2023/1543 art. 11 | Read: preservation ends after 60 days, which the issuing authority may extend by 30.
rests | Regulation (EU) 2023/1543 art. 3(18), 4(3), 4(5), 16(4) | Read in a commentary: another authority may issue without validation in an emergency, for subscriber and identification data, and must have the validation within 48 hours; a public prosecutor may issue or validate any preservation order. Art. 3(18) and 16(4) were not read again.
rests | Regulation (EU) 2023/1543 annex III | Read in a provider's rendering of the form: its reasons for not executing.
rests | Regulation (EU) 2023/1543 art. 5 | Read in part: subscriber and identification data for all offences, and for a sentence of four months or more; traffic and content data for offences of art. 5(4).
rests | Regulation (EU) 2023/1543 art. 3(9) to 3(12), 5(4), 6, 17, 28, and Directive (EU) 2016/680 art. 13(3) | Not read again.

omits | the notified enforcing authority's time (art. 8, 10(2), 12): 10 days that suspend an order, 96 hours in an emergency. The charter names that authority with enforces; the provider waits by itself
omits | the 8 hours of an emergency (art. 10(4)): accessLife is the same for all accesses
omits | which offence allows which data (art. 5(3), 5(4)): a code stands for any instrument
omits | the additional 30 days of a preservation (art. 11(1)), and that there is one extension: the extension is a warrant that extends the first, with a window of its own
omits | the law of the issuing State: who its other competent authorities are, and how long it allows notice to be delayed (art. 13(2))
omits | costs, penalties and remedies (art. 14, 15, 18), and the decentralised IT system (art. 19)

seal.default                | 10d | design, Regulation (EU) 2023/1543 art. 10(3), 13(1) | without undue delay: once the data are sent, 10 days after receipt
seal.longest                | 90d | design, Regulation (EU) 2023/1543 art. 13(2) | no figure in law; past it, a deferral gives its reasons
deferral.steps.0.after      | 0s  | Regulation (EU) 2023/1543 art. 13(2)
deferral.steps.0.longest    | 90d | design, Regulation (EU) 2023/1543 art. 13(2) | as long as the conditions are met; no figure in law
deferral.steps.0.signatures | 1   | Regulation (EU) 2023/1543 art. 13(2) | the issuing authority
deferral.total              | none | Regulation (EU) 2023/1543 art. 13(2)
deferral.never              | none | design, Regulation (EU) 2023/1543 art. 13(2) | it lets the authority omit notice while the conditions are met, which is no decision for ever

# Categories, from the least demanding: subscriber, identification (art. 3(10)), traffic, content.
categories | content identification subscriber traffic | Regulation (EU) 2023/1543 art. 3(9) to 3(12)

instruments.epo-subscriber | yes | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-subscriber.window | 30d | design, Regulation (EU) 2023/1543 art. 10
instruments.epo-subscriber.category | subscriber | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-subscriber.issuers | court investigating-judge judge prosecutor | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-subscriber.validated | investigating-authority | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-subscriber.validators | court investigating-judge judge prosecutor | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-identification | yes | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-identification.window | 30d | design, Regulation (EU) 2023/1543 art. 10
instruments.epo-identification.category | identification | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-identification.with | subscriber | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-identification.issuers | court investigating-judge judge prosecutor | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-identification.validated | investigating-authority | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-identification.validators | court investigating-judge judge prosecutor | Regulation (EU) 2023/1543 art. 4(1)
instruments.epo-traffic | yes | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-traffic.window | 30d | design, Regulation (EU) 2023/1543 art. 10
instruments.epo-traffic.category | traffic | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-traffic.with | identification subscriber | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-traffic.issuers | court investigating-judge judge | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-traffic.validated | investigating-authority prosecutor | Regulation (EU) 2023/1543 art. 4(2) | a prosecutor issues these as another competent authority, if the State says so
instruments.epo-traffic.validators | court investigating-judge judge | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-content | yes | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-content.window | 30d | design, Regulation (EU) 2023/1543 art. 10 | data are sent within 10 days of receipt; this leaves room for a service that must ask
instruments.epo-content.category | content | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-content.with | identification subscriber traffic | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-content.issuers | court investigating-judge judge | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-content.validated | investigating-authority prosecutor | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-content.validators | court investigating-judge judge | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-pr | yes | Regulation (EU) 2023/1543 art. 6 | it asks for any category
instruments.epo-pr.preserves | yes | Regulation (EU) 2023/1543 art. 6
instruments.epo-pr.window | 60d | Regulation (EU) 2023/1543 art. 11(1) | an extension is a warrant of its own
instruments.epo-pr.issuers | court investigating-judge judge prosecutor | Regulation (EU) 2023/1543 art. 4(3)
instruments.epo-pr.validated | investigating-authority | Regulation (EU) 2023/1543 art. 4(3)
instruments.epo-pr.validators | court investigating-judge judge prosecutor | Regulation (EU) 2023/1543 art. 4(3)
instruments.epo-pr.seal.default | 90d | design, Regulation (EU) 2023/1543 art. 11(1) | 60 days and the 30 of an extension; art. 13 demands no notice of a preservation
instruments.epo-pr.seal.longest | 90d | design, Regulation (EU) 2023/1543 art. 11(1)

# Emergencies: the order is issued, and its validation follows.
emergency.open            | 5  | design | no figure in law
emergency.accounts        | 1  | design | no figure in law
emergency.categories      | identification subscriber | Regulation (EU) 2023/1543 art. 4(5)
emergency.decision.within | 2d | Regulation (EU) 2023/1543 art. 4(5) | 48 hours
emergency.decision.grace  | 6h | design, Regulation (EU) 2023/1543 art. 4(5)
emergency.grounds         | critical-infrastructure life-or-safety | Regulation (EU) 2023/1543 art. 3(18) | an imminent threat

nonExecution          | conflict-of-law data-not-held fundamental-rights immunity impossible incomplete insufficient-information manifest-error not-validated offence-not-covered press-freedom service-not-covered | Regulation (EU) 2023/1543 annex III, art. 16(4), 17 | impossible: for reasons that are not the provider's, force majeure too
offences              | all-offences attacks-on-information-systems child-sexual-abuse non-cash-payment-fraud sentence-of-four-months terrorism three-years-or-more | Regulation (EU) 2023/1543 art. 5(3), 5(4) | all-offences: for subscriber and identification data only
grounds               | criminal-proceedings national-security obstruction prejudice-to-investigation public-security rights-of-others | design, Directive (EU) 2016/680 art. 13(3)
reasons               | account-mismatch breach-open ended expired fundamental-rights group-mismatch immunity limits-exceeded mistake moot ne-bis-in-idem no-offence-there not-validated openings-mismatch overdue-bars package-mismatch press-freedom quashed recipient-mismatch revoked superseded suspended unreadable | design, Regulation (EU) 2023/1543 art. 4(5), 12(1) | with the grounds on which an enforcing authority refuses
bars                  | anchor disclosure emergency missing-release | design
accessLife            | 10d | design, Regulation (EU) 2023/1543 art. 10(2), 10(3) | the time in which the data are to be sent
return.within         | 90d | design, Regulation (EU) 2023/1543 art. 28 | statistics are yearly
return.grace          | 30d | design

# Operation: no law says these, the machine needs them.
publication           | 60s | design | heads are published once a minute
inclusion             | 10m | design | an auditor waits so long for an event that it was given directly
lag                   | 7d  | design | a warrant signed before a long weekend can still be logged
skew                  | 3m  | design | cosignature times may be a spread apart, and a head is two publications old
spread                | 60s | design | witnesses whose clocks differ by more don't meet a policy together
witnessTimeout        | 15s | design
round                 | 5m  | design | auditors have so long for one head
budget.events         | 1000 | design | of one custodian or auditor
budget.interval       | 1d  | design
stale                 | 1h  | design | older cosignatures don't count at a gate
unfulfilled           | 7d  | design | an overdue that lasted so long is a breach
disclosureGrace       | 1d  | design | the log discloses by itself; this covers an outage
anchor.within         | 1h  | design
anchor.grace          | 1h  | design
heartbeat.within      | 1d  | design
heartbeat.grace       | 6h  | design
missingRelease.within | 1h  | design
missingRelease.grace  | 1h  | design
