profile | eu
title   | European Union: European Production Orders for traffic and content data

rests | Regulation (EU) 2023/1543 art. 13 | Read: the issuing authority informs the person without undue delay; it may delay, restrict or omit this under national law, as far and as long as Directive (EU) 2016/680 art. 13(3) is met, and puts the reasons on file.
rests | Regulation (EU) 2023/1543 art. 5, 10 | Read in part: content data only for offences of art. 5(4); data are sent within 10 days of receipt.
rests | Regulation (EU) 2023/1543 art. 4(5), 5(4), 28, and Directive (EU) 2016/680 art. 13(3) | Not read again.

seal.default                | 10d | design, Regulation (EU) 2023/1543 art. 10(3), 13(1) | without undue delay: once the data are sent, 10 days after receipt
seal.longest                | 90d | design, Regulation (EU) 2023/1543 art. 13(2) | no figure in law; past it, a deferral gives its reasons
deferral.steps.0.after      | 0s  | Regulation (EU) 2023/1543 art. 13(2)
deferral.steps.0.longest    | 90d | design, Regulation (EU) 2023/1543 art. 13(2) | as long as the conditions are met; no figure in law
deferral.steps.0.signatures | 1   | Regulation (EU) 2023/1543 art. 13(2) | the issuing authority
deferral.total              | none | Regulation (EU) 2023/1543 art. 13(2)
deferral.never              | none | design, Regulation (EU) 2023/1543 art. 13(2) | it lets the authority omit notice while the conditions are met, which is no decision for ever

instruments.epo-content | yes | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-content.window | 30d | design, Regulation (EU) 2023/1543 art. 10 | data are sent within 10 days of receipt; this leaves room for a service that must ask
instruments.epo-traffic | yes | Regulation (EU) 2023/1543 art. 4(2)
instruments.epo-traffic.window | 30d | design, Regulation (EU) 2023/1543 art. 10

emergency | none | Regulation (EU) 2023/1543 art. 4(5) | validation afterwards is for subscriber and identifying data only

offences              | attacks-on-information-systems child-sexual-abuse non-cash-payment-fraud terrorism three-years-or-more | Regulation (EU) 2023/1543 art. 5(4)
grounds               | criminal-proceedings national-security obstruction prejudice-to-investigation public-security rights-of-others | design, Directive (EU) 2016/680 art. 13(3)
reasons               | account-mismatch breach-open ended expired group-mismatch limits-exceeded mistake moot openings-mismatch overdue-bars package-mismatch quashed recipient-mismatch revoked superseded unreadable | design
bars                  | anchor disclosure missing-release | design
accessLife            | 10d | design, Regulation (EU) 2023/1543 art. 10(3) | the time in which the data are to be sent
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
