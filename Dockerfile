# syntax=docker/dockerfile:1
#
# The images of mcp-authz. No step needs a compiler: everything but the project itself comes as a wheel with a known hash.
#
#   docker build -t mcp-authz --build-arg REVISION=$(git rev-parse HEAD) .   # the service
#   docker build -t mcp-authz-demo --target demo .                           # the demo's MCP server
#   docker build --target sbom --output type=local,dest=. .                  # the bill of materials (CycloneDX)
#   docker build --target wheel --output type=local,dest=. .                 # the wheel
#
# Pin the base image by digest; no digest stands here, because it must be the one that you have verified:
#   docker build --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:… …
# The base must be glibc: cel-expr-python has no wheel for musl.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

# --- the project's wheel, and the tools that are in no image ---
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/ requirements/
RUN python3 -m venv /opt/tools && \
    /opt/tools/bin/pip install --only-binary :all: --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY authz/ authz/
RUN /opt/tools/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /dist .

# --- the service's environment: what `serve` needs, and no pip ---
FROM build AS service-env
RUN python3 -m venv --without-pip /opt/mcp-authz && \
    /opt/tools/bin/pip --python /opt/mcp-authz/bin/python install --only-binary :all: --require-hashes -r requirements/serve.txt && \
    /opt/tools/bin/pip --python /opt/mcp-authz/bin/python install --no-index --no-deps /dist/*.whl && \
    /opt/tools/bin/cyclonedx-py environment --output-reproducible --output-format JSON \
      --output-file /opt/mcp-authz/sbom.cdx.json /opt/mcp-authz/bin/python

# --- the same with what the other commands and the demo need, among it an Envoy ---
FROM service-env AS demo-env
RUN /opt/tools/bin/pip --python /opt/mcp-authz/bin/python install --only-binary :all: --require-hashes -r requirements/demo.txt && \
    /opt/tools/bin/cyclonedx-py environment --output-reproducible --output-format JSON \
      --output-file /opt/mcp-authz/sbom.cdx.json /opt/mcp-authz/bin/python

FROM scratch AS wheel
COPY --from=build /dist/ /

FROM scratch AS sbom
COPY --from=service-env /opt/mcp-authz/sbom.cdx.json /

# --- what every image has: no shell is started, nothing is written but the socket ---
FROM ${PYTHON_IMAGE} AS runtime
ARG REVISION=unknown
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION"
ENV PATH="/opt/mcp-authz/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 65532:65532
STOPSIGNAL SIGTERM

FROM runtime AS demo
LABEL org.opencontainers.image.title="mcp-authz-demo" \
      org.opencontainers.image.description="MCP server with five tools, for trying out mcp-authz; it deletes nothing"
COPY --from=demo-env /opt/mcp-authz /opt/mcp-authz
EXPOSE 8080
HEALTHCHECK NONE
ENTRYPOINT ["/opt/mcp-authz/bin/python", "-m", "authz.demo.mcp_server"]
CMD ["--port", "8080"]

FROM runtime AS service
LABEL org.opencontainers.image.title="mcp-authz" \
      org.opencontainers.image.description="Per-tool authorization for MCP servers behind Envoy"
COPY --from=service-env /opt/mcp-authz /opt/mcp-authz
EXPOSE 9002
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/opt/mcp-authz/bin/python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 9002, timeout=2); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["/opt/mcp-authz/bin/mcp-authz"]
CMD ["serve", "-c", "/etc/mcp-authz/policy.yaml", "--grpc", "unix:/run/mcp-authz/authz.sock", "--http", "0.0.0.0:9002"]
