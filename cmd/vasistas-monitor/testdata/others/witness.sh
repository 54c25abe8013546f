# A watchdog runs a witness of the logs in logs.txt, and publishes witnesses.txt.
vasistas-witness keygen -name watchdog.example/w1 -out w > w.lines
vasistas-witness init -dir w/state -key w/ed25519.key -key w/mldsa44.key
vasistas-witness serve -dir w/state -key w/ed25519.key -key w/mldsa44.key -logs logs.txt -listen 127.0.0.1:0 -addr-file w.addr 2> w.log &
until test -s w.addr; do sleep 0.1; done
sed "/^witness/s|\$| http://$(sed 's|.*://||; s|/$||' w.addr)|" w.lines > witnesses.txt
echo quorum watchdog.example/w1 >> witnesses.txt
