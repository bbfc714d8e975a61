# docker build -t mediaserver .
# docker run --network host -v mediaserver:/data mediaserver
#
# Media needs one UDP port that clients reach under the address the server announces. With host
# networking that works by itself; with a bridge, publish 7880 and 7882/udp and set
# MEDIASERVER_PUBLIC_IP to the host's address.

FROM node:20-slim AS web
WORKDIR /src/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --include=dev --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM python:3.11-slim AS wheel
WORKDIR /src
RUN pip install --no-cache-dir build
COPY pyproject.toml README.md LICENSE ./
COPY mediaserver/ mediaserver/
COPY recorder/ recorder/
COPY signaling/ signaling/
COPY storage/ storage/
COPY --from=web /src/signaling/webroot/ signaling/webroot/
RUN python -m build --wheel

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --home-dir /data --no-create-home mediaserver \
    && install --directory --owner=mediaserver --group=mediaserver /data
COPY --from=wheel /src/dist/ /tmp/dist/
RUN pip install --no-cache-dir /tmp/dist/*.whl && rm -r /tmp/dist
ENV PYTHONUNBUFFERED=1 \
    MEDIASERVER_HOST=0.0.0.0 \
    MEDIASERVER_DATA_DIR=/data
USER mediaserver
WORKDIR /data
VOLUME /data
EXPOSE 7880 7882/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/healthz' % os.environ.get('MEDIASERVER_PORT', '7880'), timeout=4)"]
ENTRYPOINT ["mediaserver"]
CMD ["serve"]
