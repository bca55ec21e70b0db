# Préau itself: one image, a command a service (`run grades`); settings come by environment variables alone.
ARG BASE=debian:bookworm
FROM ${BASE} AS packages
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
COPY requirements.txt /tmp/
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/preau --create-home preau
COPY --from=packages /opt/venv /opt/venv
COPY tree /opt/preau
ENV PYTHONPATH=/opt/preau PREAU_HOME=/var/lib/preau PREAU_HOST=0.0.0.0 PREAU_PORT=8080 \
    PREAU_ADMIN_HOST=0.0.0.0 PREAU_ADMIN_PORT=9000
USER preau
WORKDIR /var/lib/preau
EXPOSE 8080 9000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/opt/venv/bin/python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9000/health/ready', timeout=4)"]
ENTRYPOINT ["/opt/venv/bin/python", "-P", "-m", "cli"]
