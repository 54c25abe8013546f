# Founds a log with a witness and two gates, for one of the five people, who works in the directory me. A gate
# that is a symbolic link is that person's own.
for name in founder court messenger police; do vasistas keygen --out $name.pem; done
gates=
for g in one two; do
  test -h $g || vasistas-gate init -dir $g -name $g
  gates="$gates --party custodian:$g=$g/keys/event.pem.pub,$g/keys/mlkem768-x25519.key.pub,$g/keys/x25519.key.pub"
done
vasistas-log keygen -dir log -origin example.com/warrants > log.lines
(cat log.lines; echo quorum none) > logs.txt
. $OTHERS/witness.sh
echo '{"groups": [{"id": "main", "threshold": 2, "members": ["one", "two"]}]}' > group.json
vasistas charter new group.json --origin example.com/warrants --profile ca \
  --log-key log/keys/ed25519.vkey --log-key log/keys/mldsa.vkey \
  --party charter:founder=founder.pem.pub --party authority:superior-court:court=court.pem.pub \
  --party provider:messenger=messenger.pem.pub $gates --threshold amend=1 --threshold recover=1 \
  --witness-policy witnesses.txt --audit-policy none --out charter.json
vasistas charter sign charter.json --key founder.pem --out charter.event
vasistas-log init -dir log -charter charter.event
vasistas-log serve -dir log $EVENTKEY -listen 127.0.0.1:0 -addr-file log.addr -interval 50ms -refresh 1s 2> log.log &
until test -s log.addr; do sleep 0.1; done
LOG=$(sed 's|/$||' log.addr)
vasistas policy of charter.event --url $LOG --out policy.txt
until vasistas prove --policy policy.txt --index 0 > charter.tlog-proof; do sleep 0.1; done
for g in one two; do
  test -h $g && continue
  vasistas-gate join -dir $g -charter charter.event -log $LOG
  vasistas-gate serve -dir $g -listen 127.0.0.1:0 -addr-file $g.addr -poll 100ms 2> $g.log &
  until test -s $g.addr && vasistas-gate status -gate $(cat $g.addr); do sleep 0.1; done
done
