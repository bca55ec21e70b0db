# Turns KAFKA_A_B=c into a.b=c, formats the storage on the first start, then becomes the broker.
set -eu
echo 'log.dirs=/var/lib/kafka/data' >server.properties
awk 'BEGIN { for (name in ENVIRON) if (name ~ /^KAFKA_/ && name !~ /OPTS$/) {
    key = tolower(substr(name, 7)); gsub(/_/, ".", key); print key "=" ENVIRON[name] } }' >>server.properties
heap=${KAFKA_HEAP_OPTS:--Xms128m -Xmx512m}
# The heap is several words.
set -- /opt/java/bin/java $heap -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$(cat /opt/kafka/class-path)" \
    -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties
"$@" kafka.tools.StorageTool format --ignore-formatted --cluster-id "${CLUSTER_ID:-4L6g3nShT-eMCtK--X86sw}" \
    --config server.properties
exec "$@" kafka.Kafka server.properties
