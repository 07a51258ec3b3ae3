# One image for the service, the Dask scheduler and its workers.

FROM debian:bookworm-slim AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates python3-venv
RUN python3 -m venv /opt/rqf
ENV PATH=/opt/rqf/bin:$PATH
WORKDIR /src
# The dependencies change less often than the code, so they get the earlier, longer-lived layer.
COPY requirements/build.txt requirements/run.txt requirements/
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements/build.txt \
    && pip install --no-cache-dir --no-deps --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY rqf_engine rqf_engine
COPY sweeps sweeps
COPY service service
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools pip

FROM base
# A volume mounted on one of these directories takes over their owner, so that nothing here needs root.
RUN useradd --create-home --uid 1000 rqf \
    && install --directory --owner=rqf --group=rqf /data /var/cache/numba
COPY --from=build /opt/rqf /opt/rqf
# Workers are single-threaded: a BLAS pool of its own in each would oversubscribe the cores.
ENV PATH=/opt/rqf/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/cache/numba \
    MPLCONFIGDIR=/home/rqf/.cache/matplotlib \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    RQF_DATA=/data
USER rqf
WORKDIR /home/rqf
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["rqf", "serve"]
