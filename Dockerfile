# Coracle's image: task pods, the API, the operator and its webhook run from this one.
#
#   docker build -t registry.example.com/coracle:0.1 .
#   docker build --build-arg EXTRAS=postgresql,operator …     only the drivers you need (pyproject.toml lists them)
#
# Run `coracle …` or `coracle-operator …` in it. It needs neither root nor a writable file system,
# but for /tmp. To add connectors see docs/kubernetes-plugins.md.

ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ARG EXTRAS=jdbc,operator
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python3 -m venv /opt/coracle
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY service service
COPY operator operator
# Dependencies and Coracle itself become layers of their own: a release of Coracle then is a small
# download where the former one was. pip stays, for `spec.plugins`.
RUN /opt/coracle/bin/pip wheel --quiet --no-deps --wheel-dir dist . \
 && wheel="$(echo dist/*.whl)" \
 && /opt/coracle/bin/pip install --quiet --constraint constraints.txt "${wheel}[${EXTRAS}]" \
 && /opt/coracle/bin/pip uninstall --quiet --yes coracle-connect \
 && /opt/coracle/bin/pip install --quiet --no-deps --no-index --prefix /coracle "${wheel}"

FROM ${BASE}
LABEL org.opencontainers.image.title="Coracle" \
      org.opencontainers.image.description="Kafka Connect connectors as small asyncio services on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/coracle /opt/coracle
COPY --from=build /coracle /opt/coracle
ENV PATH=/opt/coracle/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
CMD ["coracle", "--help"]
