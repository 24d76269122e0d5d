# The workflow with the versions of requirements.lock:
#   docker build --tag weaklesion .
#   docker run --rm --gpus all --volume "$PWD:/work" weaklesion --cores all --configfile STUDY
FROM python:3.11-slim
WORKDIR /opt/weaklesion
COPY requirements.lock ./
RUN python -m pip install --no-cache-dir --requirement requirements.lock
COPY . .
RUN python -m pip install --no-cache-dir --no-deps --editable .
WORKDIR /work
ENTRYPOINT ["snakemake", "--snakefile", "/opt/weaklesion/Snakefile"]
