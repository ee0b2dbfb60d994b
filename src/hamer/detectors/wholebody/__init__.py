"""ViTPose for whole bodies in its parts: names of the 133 keypoints, crops, network, weights, decoding.

`hamer.detectors.vitpose` joins them. Sources: ViTPose (Xu et al. 2022, arXiv:2204.12484), ViTPose++ (Xu et al. 2023,
arXiv:2212.04246), COCO-WholeBody (Jin et al. 2020, arXiv:2007.11858), simple baselines (Xiao et al. 2018,
arXiv:1804.06208).
"""
