# The service: web by default, and by its command also `flask worker`, `flask db upgrade`,
# `flask seed`, `flask token` and the sandbox. docs/deployment/image.md says more.
#
# The base is a Debian or one of Python's own images with Python 3.11, the version that the suite runs on.
ARG BASE=python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS build
WORKDIR /build
# hadolint ignore=DL3008
RUN apt-get update -qq \
 && apt-get install -qq -y --no-install-recommends binutils postgresql-client > /dev/null \
 && mkdir /opt/postgresql && cp /usr/lib/postgresql/*/bin/pg_dump /usr/lib/postgresql/*/bin/pg_restore \
      /usr/lib/postgresql/*/bin/psql /opt/postgresql/
COPY requirements.txt constraints.txt ./
RUN python3 -m venv /opt/pip \
 && /opt/pip/bin/pip wheel --quiet --no-cache-dir --only-binary=:all: --wheel-dir /wheels -r requirements.txt \
 && python3 -m venv --without-pip /opt/venv \
 && /opt/pip/bin/pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-compile --no-index --find-links /wheels \
      -r requirements.txt \
 # Of no use at work: packages' own tests, types and sources of translations, what Flask-Admin has
 # for its own pages (ours have their own), and the symbols of libraries (psycopg2's are made in a
 # way that strip breaks).
 && find /opt/venv -type d \( -name tests -o -name test -o -path '*/flask_admin/static' \) -prune -exec rm -rf {} + \
 && find /opt/venv \( -name '*.pyi' -o -name '*.map' -o -name '*.po' \) -delete \
 && find /opt/venv -name '*.so' -not -path '*/psycopg2*' -exec strip --strip-unneeded {} + \
 && python3 -m compileall -q /opt/venv

# hadolint ignore=DL3006
FROM ${BASE}
# What pg_dump, pg_restore and psql need, for backups; Debian's package of them brings Perl along.
# hadolint ignore=DL3008
RUN apt-get update -qq \
 && apt-get install -qq -y --no-install-recommends libpq5 liblz4-1 libreadline8 libzstd1 zlib1g > /dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
 && groupadd --gid 1001 payments && useradd --uid 1001 --gid 1001 --home-dir /tmp --no-create-home payments \
 && install -d -o 1001 -g 1001 /var/lib/sandbox
COPY --from=build /opt/postgresql /opt/postgresql
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY LICENSE NOTICE gunicorn.conf.py wait-for-postgres.sh ./
COPY migrations ./migrations
COPY seeds ./seeds
COPY static ./static
COPY templates ./templates
COPY scripts ./scripts
COPY payment_service ./payment_service
RUN python3 -m compileall -q /app

# The version of payment_service/version.py, and the commit: `make image` names both.
ARG VERSION=unknown
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="payment-service" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing is written outside /tmp, so the root may be read-only.
ENV PATH=/opt/venv/bin:/opt/postgresql:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    FLASK_APP=payment_service \
    BUILD_COMMIT=${COMMIT} \
    SERVICE_HOST=0.0.0.0 \
    PROMETHEUS_MULTIPROC_DIR=/tmp/metrics \
    SANDBOX_DIR=/tmp/sandbox
USER 1001:1001
EXPOSE 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('SERVICE_PORT', '8082') + '/health', timeout=4)"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "payment_service:create_app()"]
