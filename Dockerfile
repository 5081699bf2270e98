# syntax=docker/dockerfile:1

FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
# The compiler's binary for this platform is an optional dependency, so this stage omits none.
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /build
COPY package.json package-lock.json ./
# Without the optional ones: no embedded database in the image.
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production \
    VERDICT_HOST=0.0.0.0 \
    VERDICT_DATA_DIR=/var/lib/verdict
# The journal lives here until Postgres has its records: keep it on a volume, one per process.
RUN install -d -o node -g node -m 0700 /var/lib/verdict
WORKDIR /app
COPY --from=dependencies /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json LICENSE ./
COPY migrations migrations
COPY presets presets
# By number (it is `node`), so that a cluster can see that it is not root.
USER 1000:1000
VOLUME ["/var/lib/verdict"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.VERDICT_PORT || 8080) + '/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/main.js"]
CMD ["serve"]
