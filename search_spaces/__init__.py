"""What may be built: nodes, and the spaces of the literature as trees with holes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.space import Space
from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.conv_chain import conv_chain
from search_spaces.dartopti import dartopti
from search_spaces.darts import darts
from search_spaces.ddarts import ddarts
from search_spaces.deepmad import deepmad_mobile, deepmad_resnet
from search_spaces.dna import dna
from search_spaces.efficientnet import efficientnet
from search_spaces.enas import enas
from search_spaces.fbnet import fbnet
from search_spaces.hytra import hytra
from search_spaces.mnasnet import mnasnet
from search_spaces.mobile import mobile
from search_spaces.mobilenet import mobilenet
from search_spaces.nasbench101 import nasbench101
from search_spaces.nasbench201 import nasbench201
from search_spaces.nasbench_graph import nasbench_graph
from search_spaces.nasbench_macro import nasbench_macro
from search_spaces.nasnet import nasnet
from search_spaces.nats_size import nats_size
from search_spaces.ofa import ofa
from search_spaces.pnasnet import pnasnet
from search_spaces.pooling import pooling
from search_spaces.recurrent import recurrent
from search_spaces.regnet import regnet
from search_spaces.resnet import resnet
from search_spaces.resnet50d import resnet50d
from search_spaces.scaled import scaled
from search_spaces.shufflenet import shufflenet
from search_spaces.tabular import tabular
from search_spaces.vit_resnas import vit_resnas

SPACES: Mapping[str, Callable[..., Space]] = {
    "accel_nasbench": accel_nasbench,
    "conv_chain": conv_chain,
    "dartopti": dartopti,
    "darts": darts,
    "ddarts": ddarts,
    "deepmad_mobile": deepmad_mobile,
    "deepmad_resnet": deepmad_resnet,
    "dna": dna,
    "efficientnet": efficientnet,
    "enas": enas,
    "fbnet": fbnet,
    "hytra": hytra,
    "mnasnet": mnasnet,
    "mobile": mobile,
    "mobilenet": mobilenet,
    "nasbench101": nasbench101,
    "nasbench201": nasbench201,
    "nasbench_graph": nasbench_graph,
    "nasbench_macro": nasbench_macro,
    "nasnet": nasnet,
    "nats_size": nats_size,
    "ofa": ofa,
    "pnasnet": pnasnet,
    "pooling": pooling,
    "recurrent": recurrent,
    "regnet": regnet,
    "resnet": resnet,
    "resnet50d": resnet50d,
    "scaled": scaled,
    "shufflenet": shufflenet,
    "tabular": tabular,
    "vit_resnas": vit_resnas,
}
"""Every space by its name, as a function of its settings; each takes `input` and `classes`."""
