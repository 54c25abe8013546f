profile | fr
title   | France: intelligence techniques under the Code de la sécurité intérieure (CSI), as a provider sees them

rests | CSI L. 821-1, 821-3, 821-4 | Read in the code of April 2026: the Prime Minister authorises after the opinion of the CNCTR, which it gives within 24 hours (72 in a larger formation); for four months at most, renewable. After an unfavourable opinion the Conseil d'Etat rules within 24 hours, and until then nothing is executed, unless urgency is justified and the Prime Minister orders it.
rests | CSI L. 821-5, 821-6, 821-7 | Read there: L. 821-5 (absolute urgency, without an opinion) is gone, and L. 821-6 was held unconstitutional. Urgency can't be invoked against members of parliament, magistrates, lawyers and journalists.
rests | CSI L. 811-3, 851-1, 852-1 | Read there: the purposes; connection data; interception of correspondence, which brings its connection data along.
rests | CSI L. 822-2 | Read there: data are destroyed after 30 days (correspondence) or four years (connection data); what is encrypted, six years after its collection at the latest.
rests | CSI L. 833-9, 841-1 | Read there: the CNCTR's public report; anyone may ask the Conseil d'Etat to verify that no technique is unlawfully used against them. None of these articles tells a person that one was.
rests | CSI L. 821-2, 833-1 | Not read again: what an authorisation states; that the CNCTR controls techniques.
rests | Code de justice administrative L. 773-6 | Not read again: where the Conseil d'Etat finds nothing unlawful, it neither confirms nor denies a measure.

omits | notice to the person: the law gives none, and a person who asks isn't told whether there was a measure. A log discloses, so its founders decide when: all figures of seal and deferral are ours
omits | an opinion that counts as given because the CNCTR is silent (L. 821-3): here its signature, or that of the Conseil d'Etat, is needed. A favourable opinion is the CNCTR's signature; after an unfavourable one the Conseil d'Etat signs
omits | professions that are shielded (L. 821-7): whether an emergency is one of theirs is for the authorities
omits | demands for identification alone (L. 851-1(2)): they are warrants of csi-l851-1
omits | other techniques: L. 851-2 to 851-6, 852-1(II) (48 hours), 852-2, 852-3 and 853-1 to 853-3, and surveillance of international communications (L. 854-1 ff.)
omits | how long data are kept (L. 822-2), how many interceptions may stand at once (L. 852-1(VI)), and judicial interceptions of the Code de procédure pénale

# Secrecy. The law has no end for it. These figures end it with the longest time for
# which the law lets data be kept without a further reason, four years.
seal.default                | 120d | design, CSI L. 821-4 | the longest authorisation
seal.longest                | 365d | design, CSI L. 841-1 | no figure in law
deferral.steps.0.after      | 0s   | design, CSI L. 833-1
deferral.steps.0.kinds      | cnctr conseil-d-etat | design, CSI L. 833-1, 841-1 | those who control the measure, not the one who ordered it
deferral.steps.0.longest    | 365d | design | no figure in law
deferral.steps.0.signatures | 1    | design
deferral.total              | 1460d | design, CSI L. 822-2(I) | four years
deferral.never              | none | design, CSI L. 841-1 | secrecy for ever would be no transparency; the law does not demand it of a log

categories   | connection content | CSI L. 851-1, 852-1
nonExecution | none | design, CSI L. 821-4 | the law gives a provider no ground to refuse

instruments.csi-l852-1 | yes | CSI L. 852-1(I)
instruments.csi-l852-1.window | 120d | CSI L. 821-4 | four months
instruments.csi-l852-1.category | content | CSI L. 852-1(I)
instruments.csi-l852-1.with | connection | CSI L. 852-1(III)
instruments.csi-l852-1.validated | prime-minister | CSI L. 821-1, 821-4
instruments.csi-l852-1.validators | cnctr conseil-d-etat | CSI L. 821-1 | the opinion; the ruling after an unfavourable one
instruments.csi-l851-1 | yes | CSI L. 851-1
instruments.csi-l851-1.window | 120d | CSI L. 821-4 | four months
instruments.csi-l851-1.category | connection | CSI L. 851-1
instruments.csi-l851-1.validated | prime-minister | CSI L. 821-1, 821-4
instruments.csi-l851-1.validators | cnctr conseil-d-etat | CSI L. 821-1

# Emergencies: the Prime Minister has an unfavourable opinion overridden at once, and
# the Conseil d'Etat rules afterwards.
emergency.open            | 5  | design | no figure in law
emergency.accounts        | 1  | design | no figure in law
emergency.categories      | connection content | CSI L. 821-1
emergency.decision.within | 1d | CSI L. 821-1 | the Conseil d'Etat rules within 24 hours
emergency.decision.grace  | 6h | design, CSI L. 821-1
emergency.grounds         | justified-urgency | CSI L. 821-1

# Codes.
offences              | collective-violence defence dissolved-groups economic-interests foreign-policy organised-crime proliferation republican-institutions terrorism | CSI L. 811-3 | the purposes; they are no offences
grounds               | entourage person-concerned secrecy-of-defence technique-in-use | design, CSI L. 821-2, 852-1(I) | of warrants, and of deferrals
reasons               | account-mismatch breach-open ended expired group-mismatch limits-exceeded mistake moot openings-mismatch overdue-bars package-mismatch quashed recipient-mismatch revoked superseded suspended unfavourable-opinion unreadable | design, CSI L. 821-1
bars                  | anchor disclosure emergency missing-release | design
accessLife            | 7d  | design
return.within         | 90d | design, CSI L. 833-9 | the report is yearly
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
